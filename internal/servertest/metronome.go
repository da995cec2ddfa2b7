package servertest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// MetronomeEnv makes [Main] run a metronome: STREAMS, TOKENS and STEP separated by
// commas.
const MetronomeEnv = "LLEM_TEST_METRONOME"

// metronome serves streams like an engine with one loop: at each step it writes one event to every stream, one
// after the other. It knows the true time of its writes: each is between two stamps. It prints its port, and when
// everything is written and read, the stamps of all writes as little-endian numbers, stream by stream.
type metronome struct {
	streams, tokens int
	step            time.Duration
}

func runMetronome(setting string, out io.Writer) error {
	var m metronome
	var step string
	if _, err := fmt.Sscanf(setting, "%d,%d,%s", &m.streams, &m.tokens, &step); err != nil {
		return err
	}
	var err error
	if m.step, err = time.ParseDuration(step); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	conns, err := m.accept(l)
	if err != nil {
		return err
	}
	stamps, err := m.play(conns)
	if err != nil {
		return err
	}
	for _, c := range conns { // until the other side has read everything
		_, _ = io.Copy(io.Discard, c)
	}
	return binary.Write(out, binary.LittleEndian, stamps)
}

// accept accepts the requests of all streams and answers their headers. The path of each is its number.
func (m metronome) accept(l net.Listener) ([]net.Conn, error) {
	conns := make([]net.Conn, m.streams)
	for range conns {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return nil, err
		}
		i, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(c,
			"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			return nil, err
		}
		conns[i] = c
	}
	return conns, nil
}

// play writes all events. For each write it records the stamps before and after.
func (m metronome) play(conns []net.Conn) ([]int64, error) {
	data := "data: " + (VLLM{}).Token(Request{Prompt: []int32{1}}, 0, 1, false) + "\n\n"
	event := fmt.Appendf(nil, "%x\r\n%s\r\n", len(data), data)
	stamps := make([]int64, 2*m.streams*m.tokens)
	next := time.Now()
	for n := range m.tokens {
		next = next.Add(m.step)
		time.Sleep(time.Until(next))
		for i, c := range conns {
			at := 2 * (i*m.tokens + n)
			stamps[at] = clock.Mono()
			if _, err := c.Write(event); err != nil {
				return nil, err
			}
			stamps[at+1] = clock.Mono()
		}
	}
	for _, c := range conns {
		if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
			return nil, err
		}
	}
	return stamps, nil
}

func mainMetronome() {
	setting, ok := os.LookupEnv(MetronomeEnv)
	if !ok {
		return
	}
	if err := runMetronome(setting, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
