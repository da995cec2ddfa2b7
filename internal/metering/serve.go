package metering

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/result"
)

// A server measures the windows that a program marks. It speaks JSON, a line for each message, over a Unix socket with
// one client. The server ends when the client closes the socket or is gone.
//
//	server: {"ready": true, "dir": DIR, "devices": ["gpu0"], "now_ns": N}
//	client: {"op": "begin"}
//	server: {"begun": true, "now_ns": N}           the counters have just changed
//	client: {"op": "step", "name": "decode", "start_ns": N, "end_ns": N, "tokens": 32}
//	client: {"op": "end", "start_ns": N, "end_ns": N, "steps": [{"name": …}]}
//	server: {"run": "DIR/runs/ID-c1"}
//	server: {"error": {"message": …, "next": …}}   instead of any of these
//
// The limits of the window are the client's stamps; without them, the stamps of the server. Steps may come one by one
// or with the end; nothing answers a step that is right. "drop" leaves the window out, "quit" ends the server.
type request struct {
	Op string `json:"op"`
	Step
	Steps []Step `json:"steps"`
}

// reply is a message of the server.
type reply struct {
	Ready   bool     `json:"ready,omitempty"`
	Begun   bool     `json:"begun,omitempty"`
	Dropped bool     `json:"dropped,omitempty"`
	Dir     string   `json:"dir,omitempty"`
	Run     string   `json:"run,omitempty"`
	Devices []string `json:"devices,omitempty"`
	NowNS   int64    `json:"now_ns,omitempty"`
	Error   *problem `json:"error,omitempty"`
}

// problem is why the server did not do what it was asked for.
type problem struct {
	Message string `json:"message"`
	Next    string `json:"next,omitempty"`
	Class   string `json:"class,omitempty"`
}

const (
	// clientWithin is how long a server waits for its client.
	clientWithin = time.Minute
	// parentEvery is how often a server looks whether the program that started it still exists: its children may hold
	// the socket open.
	parentEvery = time.Second
	// mostLine bounds a message, in bytes: a million steps.
	mostLine = 128 << 20
)

// SocketError is a socket that cannot be served.
type SocketError struct{ message, next string }

// Error describes the problem.
func (e *SocketError) Error() string { return e.message }

// NextStep returns what to do.
func (e *SocketError) NextStep() string { return e.next }

// IsUsage marks a mistake on the command line.
func (e *SocketError) IsUsage() {}

// Listen makes the socket, which only this user can open. A file that is there is left alone.
func Listen(path string) (*net.UnixListener, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, &SocketError{path + " exists", "give a name that is not in use; a socket that a killed llem left " +
			"can be removed"}
	}
	before := unix.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(before)
	if err != nil {
		return nil, &SocketError{fmt.Sprintf("cannot make the socket %s: %v", path, err),
			"give a path of at most 107 bytes in a folder that exists and that you may write to"}
	}
	return l, nil
}

// Accept waits for the client, which must be of this user.
func Accept(ctx context.Context, l *net.UnixListener) (net.Conn, error) {
	defer func() { _ = l.Close() }() // there is one client; the name is removed
	_ = l.SetDeadline(time.Now().Add(clientWithin))
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Now()) })
	defer stop()
	conn, err := l.AcceptUnix()
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &SocketError{fmt.Sprintf("no program opened the socket in %v", clientWithin), "open it right away"}
	}
	return conn, nil
}

// Orphaned closes the connection when the program that started this one is gone, until stop is called.
func Orphaned(conn net.Conn) (stop func()) {
	parent, done := os.Getppid(), make(chan struct{})
	go func() {
		tick := time.NewTicker(parentEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if os.Getppid() != parent {
					_ = conn.Close()
					return
				}
			}
		}
	}()
	return func() { close(done) }
}

// Refuse sends the client the reason why nothing can be measured.
func Refuse(conn net.Conn, err error) { _ = send(conn, reply{Error: problemOf(err)}) }

// Serve measures the client's windows until it closes the connection or ctx ends. A window that is open then is left
// out.
func (m *Meter) Serve(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	s := &server{meter: m, conn: conn}
	defer func() {
		if s.window != nil {
			s.window.Drop(context.WithoutCancel(ctx))
		}
	}()
	ready := reply{Ready: true, Dir: m.Dir(), NowNS: m.desk.Clock.Mono()}
	for _, d := range m.desk.Devices() {
		ready.Devices = append(ready.Devices, d.ID)
	}
	if err := send(conn, ready); err != nil {
		return nil // the client is gone
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, mostLine)
	for lines.Scan() {
		var q request
		out, err := reply{}, json.Unmarshal(lines.Bytes(), &q)
		switch {
		case err != nil:
			err = &MarkError{"a message is not JSON of the protocol: " + err.Error(), "see docs/meter.md"}
		case q.Op == "quit":
			return nil
		default:
			out, err = s.do(ctx, q)
		}
		if err != nil {
			out = reply{Error: problemOf(err)}
		} else if q.Op == "step" {
			continue
		}
		if send(conn, out) != nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// server is a conversation with a client.
type server struct {
	meter  *Meter
	conn   net.Conn
	window *Window
	steps  []Step
}

// do answers a message.
func (s *server) do(ctx context.Context, q request) (reply, error) {
	const order = "begin, end, begin, end: one window after another"
	switch {
	case q.Op == "begin" && s.window != nil:
		return reply{}, &MarkError{"a window is open already", order}
	case q.Op == "begin":
		w, err := s.meter.Begin(ctx)
		if err != nil {
			return reply{}, err
		}
		s.window, s.steps = w, nil
		return reply{Begun: true, NowNS: s.meter.desk.Clock.Mono()}, nil
	case q.Op != "step" && q.Op != "end" && q.Op != "drop":
		return reply{}, &MarkError{fmt.Sprintf("there is no operation %q", q.Op), "begin, step, end, drop or quit"}
	case s.window == nil:
		return reply{}, &MarkError{q.Op + " without a window", order}
	case q.Op == "step":
		s.steps = append(s.steps, q.Step)
		return reply{}, nil
	}
	w, at := s.window, s.window.Ended()
	s.window = nil
	if q.Op == "drop" {
		w.Drop(ctx)
		return reply{Dropped: true}, nil
	}
	marks := Marks{StartNS: q.StartNS, EndNS: q.EndNS, Steps: append(s.steps, q.Steps...)}
	if marks.StartNS == 0 {
		marks.StartNS = w.from
	}
	if marks.EndNS == 0 {
		marks.EndNS = at
	}
	if _, err := w.End(ctx, marks); err != nil {
		return reply{}, err
	}
	return reply{Run: s.meter.Run()}, nil
}

// problemOf describes an error to the client.
func problemOf(err error) *problem {
	return &problem{Message: err.Error(), Class: string(fault.Class(err)), Next: nextOf(err)}
}

// nextOf returns the next step that an error carries.
func nextOf(err error) string {
	if n, ok := errors.AsType[interface {
		error
		NextStep() string
	}](err); ok {
		return n.NextStep()
	}
	return ""
}

func send(w io.Writer, r reply) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Answer reads the newest window from its folder.
func (m *Meter) Answer() (*result.Record, error) {
	return result.ReadRun(m.dir.Path(), m.plan.Experiments[0].ID(), m.windows)
}
