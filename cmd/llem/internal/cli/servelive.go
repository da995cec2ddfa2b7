package cli

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

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/kin"
)

// anyPort is where run --serve listens unless an address is given.
const anyPort = "127.0.0.1:0"

// pages is the server of a running study: a process of its own with the lowest priority, so that its memory is not
// collected in the process that samples, and its processor time is seen as other work on the host. It listens from the
// start, serves from when the study has a folder, and ends with the study.
type pages struct {
	env   *Env
	order serveOrder
	// link is the address to open.
	link string

	listener *net.TCPListener

	mu    sync.Mutex // events come from several goroutines
	dir   string
	tell  io.Closer // ends the server
	ended chan error
	err   error // of the start
}

// serveOrder is what the server is told on its standard input; its end ends the server.
type serveOrder struct {
	// Host is the host of the address that was asked for.
	Host string `json:"host"`
	// Token is needed beyond this machine.
	Token string `json:"token"`
}

// listenForPages listens for run --serve=ADDRESS.
func (env *Env) listenForPages(ctx context.Context, address string) (*pages, error) {
	l, o, err := listen(ctx, "--serve", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen on %s: not TCP", address), l.Close())
	}
	return &pages{env: env, order: serveOrder{o.Host, o.Token}, link: linkOf(l, o.Token), listener: tcp}, nil
}

// observe starts the server when the study has its folder, before anything is measured.
func (p *pages) observe(e event.Event) {
	started, ok := e.(event.StudyStarted)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dir == "" {
		p.dir = started.Dir
		p.err = p.start()
	}
}

// start starts the server, which inherits the listener.
func (p *pages) start() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	file, err := p.listener.File()
	if err != nil {
		return fmt.Errorf("hand over the listener: %w", err)
	}
	defer file.Close()
	order, err := json.Marshal(p.order)
	if err != nil {
		return fmt.Errorf("write the order: %w", err)
	}
	cmd := exec.Command(program, servePages, p.dir)
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
	_ = p.listener.Close() // the server has it
	p.tell, p.ended = in, make(chan error, 1)
	go func() { p.ended <- cmd.Wait() }()
	_, err = in.Write(append(order, '\n'))
	return err
}

// close ends the server, and prints how the study can be looked at from now on.
func (p *pages) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	_ = p.listener.Close() // unless it was handed over
	if p.tell != nil {
		_ = p.tell.Close()
		err = errors.Join(err, <-p.ended)
	}
	switch {
	case err != nil:
		fmt.Fprintf(p.env.Stderr, "llem: the pages of the study were not served to its end: %v\n", err)
	case p.dir == "":
		return // the study has not begun
	}
	fmt.Fprintf(p.env.Stderr, "llem: the pages are no longer served; `llem serve %s` serves them again\n", p.dir)
}

// servePages is the command that run --serve starts this program again with.
const servePages = "serve-pages"

// inherited is the file of the listener: the first after the standard streams.
const inherited = 3

// newServePages serves one study for the process that runs it.
func newServePages(env *Env) *cobra.Command {
	return &cobra.Command{Use: servePages + " DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return env.servePages(cmd.Context(), args[0]) }}
}

// servePages serves a study until the end of standard input.
func (env *Env) servePages(ctx context.Context, dir string) error {
	behind()
	l, err := net.FileListener(os.NewFile(inherited, "listener"))
	if err != nil {
		return &usageError{servePages + " is for `llem run --serve`: " + err.Error(), "use `llem serve`"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders := json.NewDecoder(env.Stdin)
	var order serveOrder
	if err := orders.Decode(&order); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	go func() {
		_ = orders.Decode(&order) // until the end
		cancel()
	}()
	o := webOptions([]string{dir}, order.Host)
	o.Token, o.Only = order.Token, true
	return serveOn(ctx, l, o)
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
