package metering

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// client is the other end of a server.
type client struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner
}

// says sends a message and returns the answer.
func (c client) says(format string, args ...any) reply {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format+"\n", args...); err != nil {
		c.t.Fatal(err)
	}
	return c.hears()
}

func (c client) hears() (r reply) {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("the server is gone: %v", c.lines.Err())
	}
	if err := json.Unmarshal(c.lines.Bytes(), &r); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// serving runs a server on a fake GPU of 300 W, and talk as its client.
func serving(t *testing.T, talk func(c client, l lab)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 0, nil)
		var err error
		if l.dir, err = store.Create(t.TempDir(), "meter", time.Now()); err != nil {
			t.Fatal(err)
		}
		defer l.dir.Close()
		if err := l.dir.WriteStudy(&l.plan); err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- l.Serve(t.Context(), theirs) }()
		c := client{t, ours, bufio.NewScanner(ours)}
		if r := c.hears(); !r.Ready || r.Dir != l.Dir() || len(r.Devices) != 1 {
			t.Errorf("greeting %+v", r)
		}
		talk(c, l)
		ours.Close()
		if err := <-done; err != nil {
			t.Errorf("the server: %v", err)
		}
	})
}

// TestServe: windows one after another, with steps one by one and with the end, and a folder that can be read.
func TestServe(t *testing.T) {
	serving(t, func(c client, l lab) {
		for i := range 2 {
			if r := c.says(`{"op": "begin"}`); !r.Begun || r.NowNS == 0 {
				t.Fatalf("begin: %+v", r)
			}
			start := l.clock.Mono()
			time.Sleep(4 * time.Second)
			fmt.Fprintf(c.conn, `{"op": "step", "name": "prefill", "start_ns": %d, "end_ns": %d, "tokens": 7}`+"\n",
				start,
				start+1e9)
			r := c.says(`{"op": "end", "start_ns": %d, "end_ns": %d, "steps": [{"name": "decode", "start_ns": %d, `+
				`"end_ns": %d, "tokens": 5}]}`, start, start+4e9, start+2e9, start+3e9)
			rec, err := result.ReadRecord(filepath.Join(r.Run, result.RecordFile))
			if err != nil {
				t.Fatalf("end: %+v, %v", r, err)
			}
			if rec.Cycle != i+1 || rec.Tokens.Prompt != 7 || rec.Tokens.Output != 5 || rec.Energy.TotalJ == nil ||
				rec.Window.DurationS != 4 {
				t.Errorf("window %d: %+v", i, rec)
			}
		}
		s, err := store.Open(l.Dir())
		if err != nil || s.OK != 2 || !s.Complete || s.Rebuilt {
			t.Errorf("the folder: %+v, %v", s, err)
		}
		if rec, err := l.Answer(); err != nil || rec.Cycle != 2 {
			t.Errorf("the newest window: %v", err)
		}
	})
}

// TestServeMistakes: each is refused with its reason and the next step, and the server goes on.
func TestServeMistakes(t *testing.T) {
	serving(t, func(c client, l lab) {
		refused := func(want, format string, args ...any) {
			t.Helper()
			r := c.says(format, args...)
			if r.Error == nil || !strings.Contains(r.Error.Message, want) || r.Error.Next == "" {
				t.Errorf("%q: %+v, want %q", format, r.Error, want)
			}
		}
		refused("not JSON", `{"op": `)
		refused(`no operation "open"`, `{"op": "open"}`)
		refused("end without a window", `{"op": "end"}`)
		refused("step without a window", `{"op": "step", "name": "decode"}`)
		c.says(`{"op": "begin"}`)
		refused("open already", `{"op": "begin"}`)
		if r := c.says(`{"op": "drop"}`); !r.Dropped {
			t.Errorf("drop: %+v", r)
		}
		c.says(`{"op": "begin"}`)
		time.Sleep(time.Second)
		refused("outside the time", `{"op": "end", "start_ns": 1, "end_ns": 2}`)
		c.says(`{"op": "begin"}`)
		time.Sleep(time.Second)
		if r := c.says(`{"op": "end"}`); r.Run == "" { // by the server's own stamps
			t.Errorf("end: %+v", r)
		}
		if s, err := store.Open(l.Dir()); err != nil || s.OK != 1 {
			t.Errorf("the folder: %+v, %v", s, err)
		}
	})
}

// TestServeEnds: a client that goes away in a window leaves no run, and an interrupt ends the server.
func TestServeEnds(t *testing.T) {
	serving(t, func(c client, l lab) { c.says(`{"op": "begin"}`) })
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 0, nil)
		l.dir, _ = store.Create(t.TempDir(), "meter", time.Now())
		defer l.dir.Close()
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		ours, theirs := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- l.Serve(ctx, theirs) }()
		client{t, ours, bufio.NewScanner(ours)}.hears()
		cancel(stop)
		if err := <-done; !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
	})
}

// TestSocket: only its user can open it, a file in its place is left alone, and nobody who comes ends the wait.
func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "socket")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("a socket that exists: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, "no", "socket")); err == nil {
		t.Error("a socket in no folder")
	}
	go func() { _, _ = net.Dial("unix", path) }()
	conn, err := Accept(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the name stays: %v", err)
	}
	l, err = Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Accept(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt: %v", err)
	}
}

// TestProcess: the window of a process ends with it, with its time, or with the context.
func TestProcess(t *testing.T) {
	if err := Alive(os.Getpid()); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if Alive(pid) == nil {
			t.Errorf("process %d lives", pid)
		}
	}
	l := newLab(t, 0, nil) // no bubble: a real process
	l.options.PID = os.Getpid()
	began := time.Now()
	rec, err := l.Process(t.Context(), 300*time.Millisecond)
	if err != nil || rec.Window.DurationS < 0.3 || time.Since(began) > time.Minute {
		t.Errorf("%+v, %v", rec, err)
	}
}
