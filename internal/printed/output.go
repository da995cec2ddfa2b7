package printed

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
)

// MostAnswer is the maximum output of a short command, such as a request for a version or options, in bytes per
// stream.
const MostAnswer = 1 << 20

// ErrTooMuch is wrapped by the error of a program that printed too much.
var ErrTooMuch = errors.New("too much output")

// Output runs a command to its end and returns its output, up to most bytes per stream. A command that prints more
// is ended by end, which cancels the context that the command was created with. The error of a failed command
// holds its standard error.
func Output(c *exec.Cmd, most int, end func()) (stdout, stderr []byte, err error) {
	var once sync.Once
	full := func() { once.Do(end) }
	out, said := &head{most: most, full: full}, &head{most: most, full: full}
	c.Stdout, c.Stderr = out, said
	err = c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		exit.Stderr = said.text
	}
	if out.over || said.over {
		err = fmt.Errorf("%s printed more than %d KiB and was ended: %w", c.Path, most>>10, ErrTooMuch)
	}
	return out.text, said.text, err
}

// head keeps the beginning of what is written to it.
type head struct {
	text []byte
	most int
	full func()
	over bool
}

// Write implements io.Writer. It accepts everything: otherwise the program would block.
func (h *head) Write(p []byte) (int, error) {
	keep := min(len(p), h.most-len(h.text))
	h.text = append(h.text, p[:keep]...)
	if keep < len(p) && !h.over {
		h.over = true
		h.full()
	}
	return len(p), nil
}
