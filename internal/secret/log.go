package secret

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/llenergymeasure/llem/internal/disk"
)

// CleanLog removes secrets and terminal commands from an engine's output. It reports whether there is a log.
func CleanLog(path string) (found bool, err error) {
	hidden := errors.New("there is something to take out")
	err = cleanLines(path, func(line, clean string) error {
		if line != clean {
			return hidden
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case !errors.Is(err, hidden):
		return true, err
	}
	return true, disk.WriteFile(path, func(w io.Writer) error {
		return cleanLines(path, func(_, clean string) error {
			_, err := io.WriteString(w, clean)
			return err
		})
	})
}

// cleanLines calls f with each line of a file, original and cleaned. Long lines come in parts.
func cleanLines(path string, f func(line, clean string) error) error {
	const longest = 1 << 20
	file, err := disk.OpenFile(path, os.O_RDONLY, 0, math.MaxInt64)
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, longest)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			if err := f(string(line), Text(string(line))); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
