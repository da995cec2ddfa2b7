package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/cmd/llem/internal/web"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/shell"
)

// Command is the argument that starts this program as the server of a study: PROGRAM serve-pages DIR.
const Command = "serve-pages"

// inherited is the file of the listener in that process: the first after the standard streams.
const inherited = 3

// Study is the server of a running study: a process of its own with the lowest priority, so that its memory is not
// collected in the process that samples, and its processor time is seen as other work on the host. It listens from the
// start, serves from when the study has a folder, and ends with the study.
type Study struct {
	listener *Listener

	mu    sync.Mutex // events come from several goroutines
	dir   string
	tell  io.Closer // its end ends the server
	ended chan error
	err   error // of the start
}

// NewStudy returns the server of a study on a listener. Close it.
func NewStudy(l *Listener) *Study { return &Study{listener: l} }

// Observe starts the server when the study has its folder, before anything is measured.
func (s *Study) Observe(e event.Event) {
	started, ok := e.(event.StudyStarted)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		s.dir = started.Dir
		s.err = s.start()
	}
}

// start starts the server, which inherits the listener.
func (s *Study) start() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	tcp, ok := s.listener.Listener.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("hand over the listener of %s: not TCP", s.listener.Addr())
	}
	file, err := tcp.File()
	if err != nil {
		return fmt.Errorf("hand over the listener: %w", err)
	}
	defer file.Close()
	order, err := json.Marshal(s.listener.order)
	if err != nil {
		return fmt.Errorf("write the order: %w", err)
	}
	cmd := exec.Command(program, Command, s.dir)
	// The mark keeps it apart from what an engine leaves behind, its group from Ctrl-C, which is for the study.
	cmd.Env = append(os.Environ(), kin.AsideName+"=1", kin.NewMark())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = []*os.File{file}
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	_ = s.listener.Close() // the server has it
	s.tell, s.ended = in, make(chan error, 1)
	go func() { s.ended <- cmd.Wait() }()
	_, err = in.Write(append(order, '\n'))
	return err
}

// Close ends the server, and prints how the study can be looked at from now on.
func (s *Study) Close(out io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	_ = s.listener.Close() // unless it was handed over
	if s.tell != nil {
		_ = s.tell.Close()
		err = errors.Join(err, <-s.ended)
	}
	switch {
	case err != nil:
		fmt.Fprintf(out, "llem: the pages of the study were not served to its end: %v\n", err)
	case s.dir == "":
		return // the study has not begun
	}
	fmt.Fprintf(out, "llem: the pages are no longer served; `llem serve %s` serves them again\n", shell.Path(s.dir))
}

// Inherited serves the study in a folder in the process that [Study] has started, until the end of in.
func Inherited(ctx context.Context, in io.Reader, dir string) error {
	behind()
	l, err := net.FileListener(os.NewFile(inherited, "listener"))
	if err != nil {
		return fmt.Errorf("%s is a part of `llem run --serve`; use `llem serve`: %w", Command, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders := json.NewDecoder(in)
	var o order
	if err := orders.Decode(&o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	go func() {
		_ = orders.Decode(&order{}) // until the end
		cancel()
	}()
	return serve(ctx, l, o, web.Options{Dirs: []string{dir}, Only: true})
}

// behind gives this process the lowest priority: all its threads, from which later ones inherit it.
func behind() {
	const lowest = 19
	threads, _ := os.ReadDir("/proc/self/task") // without it, the server has an ordinary priority
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, lowest)
		}
	}
}
