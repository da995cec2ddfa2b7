package server

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/servertest"
	"github.com/llenergymeasure/llem/internal/watch"
)

// impatient accepts connections that are closed when they wait for a request for a while, as by many servers.
type impatient struct {
	net.Listener
	idle time.Duration
}

func (l impatient) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &idling{c, l.idle, time.AfterFunc(l.idle, func() { _ = c.Close() })}, nil
}

type idling struct {
	net.Conn
	idle time.Duration
	end  *time.Timer
}

func (c *idling) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 { // a request is not waited for
		c.end.Stop()
	}
	return n, err
}

func (c *idling) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte("0\r\n\r\n")) { // the end of an answer
		c.end.Reset(c.idle)
	}
	return c.Conn.Write(p)
}

// TestIdleClosed: requests of an open loop do not meet connections that the server has closed while they waited for
// one, used or not, and the connections are replaced.
func TestIdleClosed(t *testing.T) {
	for name, n := range map[string]int{"own readers": 12, "a loop": 2 * soloStreams} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				_ = servertest.New(servertest.Options{Dialect: servertest.VLLM{}, Step: 2 * time.Millisecond}).
					Serve(impatient{l, 300 * time.Millisecond})
			}()
			c := &client{engine: completions{}, address: l.Addr().String(), solo: soloStreams,
				vital: &watch.Engine{Limit: time.Minute, Talks: true}}
			w := backend.Workload{OutputTokens: 5}
			for i := range n {
				w.Requests = append(w.Requests, backend.Prompt{ID: i, Tokens: []int32{int32(i + 1), 2}})
			}
			w = due(w, 1500*time.Millisecond/time.Duration(n))
			for i := range w.Requests {
				w.Requests[i].DueNS += int64(600 * time.Millisecond) // no connection of the beginning is left
			}
			log, err := c.run(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range log.Requests {
				if !q.OK {
					t.Errorf("request %d: %s", q.ID, q.Failure)
				}
			}
		})
	}
}

// TestRefresh: connections that the server has closed are replaced by as many, no more than a cap, and the loop uses
// their numbers again.
func TestRefresh(t *testing.T) {
	for name, q := range map[string]struct{ most, want int }{"no cap": {0, 10}, "a cap": {4, 4}} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			accepted := make(chan net.Conn, 100)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					accepted <- c
				}
			}()
			c := &client{engine: completions{}, address: l.Addr().String(), vital: &watch.Engine{Limit: time.Minute}}
			if c.loop, err = newLoop(func(int64) {}); err != nil {
				t.Fatal(err)
			}
			defer c.loop.end()
			o := &openLoop{client: c, most: q.most, peak: 2, bodies: make([]Request, 50), log: &backend.Log{}}
			defer func() { closeAll(o.streams) }()
			for range 3 { // what is open is closed by the server, and replaced
				o.refresh(t.Context())
				if len(o.idle) != q.want || len(o.streams) != q.want {
					t.Fatalf("%d connections wait and %d are known, want %d", len(o.idle), len(o.streams), q.want)
				}
				for range q.want {
					_ = (<-accepted).Close()
				}
				for _, s := range o.idle {
					for !s.conn.gone() {
						time.Sleep(time.Millisecond)
					}
				}
			}
			if n := len(c.loop.boxes); n != q.want {
				t.Errorf("the loop has room for %d connections, want %d", n, q.want)
			}
		})
	}
}
