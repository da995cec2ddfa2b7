package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.Main(map[string]servertest.Dialect{"vllm": servertest.VLLM{}})
	m.Run()
}

// BenchmarkITL measures the error of the times between tokens. The sender, a separate process that stamps each
// write before and after, knows the true times. They are taken once as in this client, from the kernel, and once
// as in a client without that.
//
//	go test ./internal/server -run '^$' -bench ITL -benchtime 1x
func BenchmarkITL(b *testing.B) {
	for _, streams := range []int{1, 64, 256, 1024, 2048} {
		for _, how := range []string{"loop", "alone"} { // who waits: the loop, or each connection by itself
			b.Run(fmt.Sprintf("streams=%d/%s", streams, how), func(b *testing.B) {
				for b.Loop() {
					benchmarkITL(b, streams, 100, 20*time.Millisecond, how == "loop")
				}
				b.ReportMetric(0, "ns/op") // meaningless here: the sender sets the pace
			})
		}
	}
}

// certain is the required accuracy of the sender's stamps: a sender that lost its core within a write is not
// accurate. With one stream every write wakes the reader, on the same core.
const certain = 25 * time.Microsecond

func benchmarkITL(b *testing.B, streams, tokens int, step time.Duration, looped bool) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	sender := exec.Command(self)
	sender.Env = append(os.Environ(), fmt.Sprintf("%s=%d,%d,%v", servertest.MetronomeEnv, streams, tokens, step))
	sender.Stderr = os.Stderr
	out, err := sender.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := sender.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sender.Process.Kill(); _ = sender.Wait() }()
	said := bufio.NewReader(out)
	address, err := said.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	c := &client{address: strings.TrimSpace(address)}
	if looped {
		if c.loop, err = newLoop(func(int64) {}); err != nil {
			b.Fatal(err)
		}
		defer c.loop.end()
	}
	heard := make([]heardStream, streams)
	for i := range heard {
		if heard[i].conn, err = c.dial(b.Context()); err != nil {
			b.Fatal(err)
		}
		heard[i].woke = make([]int64, 0, tokens)
	}
	before := cpuTime()
	var all sync.WaitGroup
	for i := range heard {
		all.Go(func() { heard[i].err = heard[i].listen(i) })
	}
	all.Wait()
	cpu := cpuTime() - before
	truth := make([]int64, 2*streams*tokens)
	if err := binary.Read(said, binary.LittleEndian, truth); err != nil {
		b.Fatal(err)
	}
	var kernel, user []int64
	unknown, together := 0, 0
	for i, h := range heard {
		if h.err != nil || len(h.got.list) != tokens {
			b.Fatalf("stream %d: %d events, %v", i, len(h.got.list), h.err)
		}
		for n := range tokens - 1 {
			at := truth[2*(i*tokens+n):]
			if h.got.list[n+1].at == h.got.list[n].at {
				together++
			}
			if streams > 1 && max(at[1]-at[0], at[3]-at[2]) > certain.Nanoseconds() {
				unknown++
				continue
			}
			itl := at[2] - at[0] // bytes arrive at the beginning of a write; after that it may wake the reader
			kernel = append(kernel, abs(h.got.list[n+1].at-h.got.list[n].at-itl))
			user = append(user, abs(h.woke[n+1]-h.woke[n]-itl))
		}
	}
	report := func(list []int64, name string) {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2])/1e3, name+"-p50-µs")
		b.ReportMetric(float64(list[len(list)*99/100])/1e3, name+"-p99-µs")
	}
	report(kernel, "kernel")
	report(user, "user")
	all100 := 100 / float64(streams*(tokens-1))
	b.ReportMetric(float64(unknown)*all100, "unknown-%")
	b.ReportMetric(float64(together)*all100, "together-%")
	b.ReportMetric(cpu.Seconds()/float64(streams*tokens)*1e6, "cpu-s/M")
}

// heardStream reads one stream like the client, and also keeps the time of waking up.
type heardStream struct {
	conn *conn
	got  events
	woke []int64
	err  error
}

func (h *heardStream) listen(i int) error {
	defer h.conn.Close()
	if status, err := h.conn.send("GET", fmt.Sprintf("/%d", i), nil); err != nil || status != 200 {
		return fmt.Errorf("status %d, %w", status, err)
	}
	for {
		p, err := h.conn.piece()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		h.got.feed(p, h.conn.stamp)
		for len(h.woke) < len(h.got.list) {
			h.woke = append(h.woke, h.conn.woke)
		}
	}
}

func abs(n int64) int64 { return max(n, -n) }

// cpuTime returns the processor time of this process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEvent measures the cost of one event, and that it allocates nothing.
//
//	go test ./internal/server -run '^$' -bench Event -benchmem
func BenchmarkEvent(b *testing.B) {
	c, write := piped(b)
	var e events
	e.text, e.list = make([]byte, 0, 1<<20), make([]arrived, 0, 1<<12)
	b.ReportAllocs()
	for b.Loop() {
		if len(e.list) == 1<<11 {
			e.reset()
		}
		write()
		p, err := c.piece()
		if err != nil {
			b.Fatal(err)
		}
		e.feed(p, c.stamp)
	}
}

// BenchmarkInterpret measures the parsing of an event, which happens after its request is over.
//
//	go test ./internal/server -run '^$' -bench Interpret
func BenchmarkInterpret(b *testing.B) {
	const tokens = 100
	s := &stream{client: &client{engine: completions{}}}
	q := servertest.Request{Prompt: []int32{1}}
	for n := range tokens {
		s.got.feed([]byte("data: "+(servertest.VLLM{}).Token(q, n, 1, n == tokens-1)+"\n\n"), int64(n+1))
	}
	for _, data := range (servertest.VLLM{}).End(q, tokens, 0) {
		s.got.feed([]byte("data: "+data+"\n\n"), tokens)
	}
	for b.Loop() {
		out := backend.Request{PromptTokens: 1}
		if err := s.interpret(&out, tokens); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tokens), "ns/event")
}

// TestNoAllocation: nothing is allocated while tokens arrive.
func TestNoAllocation(t *testing.T) {
	c, write := piped(t)
	var e events
	e.text, e.list = make([]byte, 0, 1<<20), make([]arrived, 0, 1<<12)
	if n := testing.AllocsPerRun(500, func() {
		write()
		p, err := c.piece()
		if err != nil {
			t.Fatal(err)
		}
		e.feed(p, c.stamp)
	}); n != 0 {
		t.Errorf("%v allocations for each event, want none", n)
	}
	if len(e.list) < 500 || e.list[0].at == 0 {
		t.Errorf("%d events", len(e.list))
	}
}

// piped returns a connection whose body has begun, and a function that sends one event over it.
func piped(t testing.TB) (*conn, func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close(); _ = c.Close() })
	c.body = body{chunked: true}
	data := "data: " + (servertest.VLLM{}).Token(servertest.Request{Prompt: []int32{1}}, 0, 1, false) + "\n\n"
	event := fmt.Appendf(nil, "%x\r\n%s\r\n", len(data), data)
	return c, func() {
		if _, err := far.Write(event); err != nil {
			t.Fatal(err)
		}
	}
}
