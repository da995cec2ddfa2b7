package server

import (
	"net"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/servertest"
	"github.com/llenergymeasure/llem/internal/watch"
)

// impatient accepts connections that are closed when nothing goes over them for a while, as many servers do.
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
	c.end.Reset(c.idle)
	return n, err
}

func (c *idling) Write(p []byte) (int, error) {
	c.end.Reset(c.idle)
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
