package server

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/servertest"
	"github.com/llenergymeasure/llem/internal/watch"
)

// Request of [completions] is accepted by the stub of vLLM.
func (completions) Request(_ backend.Spec, p backend.Prompt, output int) Request {
	return JSON("/v1/completions",
		map[string]any{"model": "llem", "prompt": p.Tokens, "max_tokens": output, "ignore_eos": true, "temperature": 0,
			"stream": true, "return_token_ids": true})
}

// stubbed returns a client of a stub in this process, with steps of the given duration.
func stubbed(t *testing.T, streams int, step time.Duration) *client {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		_ = servertest.New(servertest.Options{Dialect: servertest.VLLM{}, Step: step}).Serve(l)
	}()
	return &client{engine: completions{}, address: l.Addr().String(), streams: streams,
		vital: &watch.Engine{Limit: 5 * time.Second, Talks: true}}
}

func sixPrompts() backend.Workload {
	w := backend.Workload{OutputTokens: 5}
	for i := range int32(6) {
		w.Requests = append(w.Requests, backend.Prompt{ID: int(i), Tokens: []int32{i + 1, 2}})
	}
	return w
}

// mostAtOnce returns the maximum number of concurrent requests.
func mostAtOnce(log *backend.Log) int {
	most := 0
	for _, at := range log.Requests {
		n := 0
		for _, q := range log.Requests {
			if q.SubmittedNS <= at.SubmittedNS && at.SubmittedNS < q.EndNS {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// due makes requests due one after another.
func due(w backend.Workload, gap time.Duration) backend.Workload {
	w.Open = true
	for i := range w.Requests {
		w.Requests[i].DueNS = int64(i) * gap.Nanoseconds()
	}
	return w
}

// TestLoad covers all at once, closed loops, and open loops.
func TestLoad(t *testing.T) {
	for name, q := range map[string]struct {
		streams int
		gap     time.Duration // of an open loop
		round   int
		most    int // in flight together
	}{
		"at once":           {0, 0, 0, 6},
		"one after another": {1, 0, 0, 1},
		"closed loop":       {2, 0, 0, 2},
		"loop of four":      {4, 0, 0, 4},
		"open":              {0, 30 * time.Millisecond, 0, 0}, // the number depends on the speed of the machine
		"open with a cap":   {2, time.Millisecond, 0, 2},
		"rounds":            {0, 0, 4, 4},
		"loops of a round":  {2, 0, 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sixPrompts()
			w.Round = q.round
			if q.gap > 0 {
				w = due(w, q.gap)
				w.Concurrency = q.streams
			}
			w.Requests[3].Output = 7
			c := stubbed(t, q.streams, 40*time.Millisecond)
			log, err := c.run(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range log.Requests {
				if !r.OK || r.OutputTokens != w.Asked(w.Requests[i]) {
					t.Errorf("request %+v", r)
				}
				if r.SubmittedNS > r.WrittenNS || r.FirstByteNS <= r.SubmittedNS ||
					r.FirstByteNS > r.FirstTokenNS || r.DoneNS < r.EndNS || r.DoneNS > log.EndNS {
					t.Errorf("request %d has the stamps %+v", i, r)
				}
				if at := log.StartNS + w.Requests[i].DueNS; w.Open && (r.ArrivedNS != at || r.SubmittedNS < at) {
					t.Errorf("request %d arrived at %d and was sent at %d, it was due at %d", i, r.ArrivedNS,
						r.SubmittedNS, at)
				}
				if r.Capped && (q.gap == 0 || q.streams == 0) {
					t.Errorf("request %d waited for a cap that is not there", i)
				}
			}
			if n := mostAtOnce(log); q.most > 0 && n != q.most {
				t.Errorf("%d requests at once, want %d", n, q.most)
			}
			if capped := log.Requests[5].Capped; q.gap > 0 && capped != (q.streams > 0) {
				t.Errorf("the last request waited for the cap: %v", capped)
			}
			if log.EndNS < slices.MaxFunc(log.Requests,
				func(a, b backend.Request) int { return int(a.EndNS - b.EndNS) }).EndNS {
				t.Error("the run ended before its requests")
			}
		})
	}
}

// talking makes two conversations of three turns of the six prompts.
func talking(pause time.Duration) backend.Workload {
	w := sixPrompts()
	for _, i := range []int{1, 2, 4, 5} {
		w.Requests[i].After, w.Requests[i].WaitNS = new(i-1), pause.Nanoseconds()
	}
	return w
}

// TestConversations: a turn has the prompts and answers before it in front, and is sent a pause after the last answer,
// or when it is due if that is later.
func TestConversations(t *testing.T) {
	for name, q := range map[string]struct {
		streams int
		pause   time.Duration
		open    bool
		late    time.Duration // when the last turn is due
		cap     int
	}{
		"closed":             {0, 0, false, 0, 0},
		"closed, one by one": {1, 0, false, 0, 0},
		"closed, pauses":     {2, 20 * time.Millisecond, false, 0, 0},
		"open":               {0, 0, true, 0, 0},
		"open, pauses":       {0, 20 * time.Millisecond, true, 300 * time.Millisecond, 0},
		"open with a cap":    {0, time.Millisecond, true, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := talking(q.pause)
			w.Open, w.Concurrency = q.open, q.cap
			w.Requests[5].DueNS = q.late.Nanoseconds()
			log, err := stubbed(t, q.streams, 5*time.Millisecond).run(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range log.Requests {
				want := (len(w.Requests[i].Tokens) + w.OutputTokens) * (i%3 + 1)
				if !r.OK || r.PromptTokens+r.OutputTokens != want {
					t.Errorf("request %d: %+v, want %d tokens", i, r, want)
				}
				if i%3 == 0 {
					continue
				}
				at := log.Requests[i-1].EndNS + w.Requests[i].WaitNS
				if w.Open {
					at = max(at, log.StartNS+w.Requests[i].DueNS)
				}
				if r.SubmittedNS < at || (w.Open || q.streams == 0) && r.ArrivedNS != at {
					t.Errorf("request %d arrived at %d and was sent at %d, it was due at %d", i, r.ArrivedNS,
						r.SubmittedNS, at)
				}
			}
			if q.streams == 1 && log.Requests[3].SubmittedNS < log.Requests[2].EndNS {
				t.Error("a client began a conversation before it had ended one")
			}
		})
	}
}

// TestConversationsCut: the turns that are left when the time is over are cut.
func TestConversationsCut(t *testing.T) {
	w := talking(time.Hour)
	w.Open, w.DrainNS = true, int64(100*time.Millisecond)
	log, err := stubbed(t, 0, time.Millisecond).run(t.Context(), w)
	if err != nil && !errors.Is(err, errDrain) {
		t.Fatal(err)
	}
	for i, r := range log.Requests {
		if first := i%3 == 0; r.OK != first || r.Cut == first || r.ArrivedNS == 0 || r.Failure == "" != first {
			t.Errorf("request %d: %+v", i, r)
		}
	}
}

// TestReadTogether: events that were read together have one stamp and are counted as such.
func TestReadTogether(t *testing.T) {
	s := &stream{client: &client{engine: completions{}}}
	for n, at := range []int64{10, 20, 20, 20, 30} {
		s.got.feed([]byte("data: "+(servertest.VLLM{}).Token(servertest.Request{Prompt: []int32{1}}, n, 1, n == 4)+
			"\n\n"), at)
	}
	for _, data := range (servertest.VLLM{}).End(servertest.Request{Prompt: []int32{1}}, 5, 0) {
		s.got.feed([]byte("data: "+data+"\n\n"), 30)
	}
	out := backend.Request{PromptTokens: 1}
	if err := s.interpret(&out, 5); err != nil || !out.OK || s.shared != 2 {
		t.Errorf("%v, %+v, %d tokens share a stamp, want 2", err, out, s.shared)
	}
}

// TestStepsFromStreams: for an engine that counts output late, the tokens come from the streams.
func TestStepsFromStreams(t *testing.T) {
	log := &backend.Log{StartNS: 0, EndNS: 100, Requests: []backend.Request{
		{OK: true, PromptTokens: 8, FirstTokenNS: 20, TokenNS: []int64{20, 40, 60, 80}, EndNS: 80},
		{OK: true, PromptTokens: 8, FirstTokenNS: 55, TokenNS: []int64{55, 80}, EndNS: 80},
		{Failure: "no"},
	}}
	at := func(ns int64, prompt, cached, output float64) reading {
		return reading{Counters: Counters{Prompt: prompt, Cached: cached, Output: output}, before: ns, after: ns}
	}
	late := steps([]reading{at(0, 100, 1, 0), at(50, 108, 1, 0), at(100, 118, 3, 0)}, log)
	counted := steps([]reading{at(0, 100, 1, 1000), at(50, 108, 1, 1002), at(100, 118, 3, 1006)}, log)
	for name, list := range map[string][]backend.Step{"late": late, "counted": counted} {
		if len(list) != 2 || list[0].PrefillTokens != 8 || list[0].DecodeTokens != 1 || list[1].PrefillTokens != 8 ||
			list[1].DecodeTokens != 3 {
			t.Errorf("%s: %+v, want 8 and 8 prompt tokens, 1 and 3 decoded ones", name, list)
		}
	}
}

// TestStepsOfSlowReadings: a slow reading may be stamped before or after the run and yet contain tokens of it, or
// lack some: none are lost.
func TestStepsOfSlowReadings(t *testing.T) {
	log := &backend.Log{StartNS: 100, EndNS: 200, Requests: []backend.Request{
		{OK: true, PromptTokens: 8, FirstTokenNS: 120, TokenNS: []int64{120, 150, 198}, EndNS: 198}}}
	list := []reading{{before: 0, after: 10}, // and readings that are too slow:
		{Counters: Counters{Prompt: 8, Output: 1}, before: 40, after: 150},
		{Counters: Counters{Prompt: 8, Output: 2}, before: 160, after: 170},
		{Counters: Counters{Prompt: 8, Output: 2}, before: 190, after: 230},
		{Counters: Counters{Prompt: 8, Output: 3}, before: 240, after: 250}}
	var prefill, decode int
	for _, s := range steps(list, log) {
		prefill, decode = prefill+s.PrefillTokens, decode+s.DecodeTokens
		if s.StartNS < log.StartNS || s.EndNS > log.EndNS || s.EndNS <= s.StartNS {
			t.Errorf("step %+v outside of the run", s)
		}
	}
	if prefill != 8 || decode != 2 {
		t.Errorf("steps hold %d prompt and %d decoded tokens, want 8 and 2", prefill, decode)
	}
}

// TestStepsOfLateTokens: a token that the engine has counted before it arrives is decoded once, and is in a step.
func TestStepsOfLateTokens(t *testing.T) {
	log := &backend.Log{StartNS: 0, EndNS: 200, Requests: []backend.Request{
		{OK: true, PromptTokens: 8, FirstTokenNS: 150, TokenNS: []int64{150, 190}, EndNS: 190}}}
	at := func(ns int64, c Counters) reading { return reading{Counters: c, before: ns, after: ns} }
	list := []reading{at(0, Counters{}), at(140, Counters{Prompt: 8, Output: 1}),
		at(160, Counters{Prompt: 8, Output: 1}),
		at(200, Counters{Prompt: 8, Output: 2})}
	got := steps(list, log)
	want := []backend.Step{{StartNS: 0, EndNS: 160, PrefillTokens: 8, Sequences: 1, ContextTokens: 1},
		{StartNS: 160, EndNS: 200, DecodeTokens: 1, Sequences: 1, ContextTokens: 9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestStepsOfEarlyTokens: a token that arrives before a slow reading counts it is in the following step.
func TestStepsOfEarlyTokens(t *testing.T) {
	log := &backend.Log{StartNS: 0, EndNS: 260, Requests: []backend.Request{
		{OK: true, PromptTokens: 8, FirstTokenNS: 150, TokenNS: []int64{150, 240}, EndNS: 240}}}
	list := []reading{{}, {before: 100, after: 300},
		{Counters: Counters{Prompt: 8, Output: 2}, before: 260, after: 260}}
	got := steps(list, log)
	if len(got) != 1 || got[0].StartNS > 150 || got[0].EndNS < 240 || got[0].PrefillTokens != 8 ||
		got[0].DecodeTokens != 1 {
		t.Errorf("steps %+v, want one that holds both tokens", got)
	}
}

// impostor is an engine that does not listen, on a port that another program takes.
type impostor struct {
	Engine
	listen func(port int)
}

func (impostor) Name() string { return "engine" }

func (i impostor) Launch(_ context.Context, _ backend.Spec, port int) (Launch, error) {
	i.listen(port)
	return Launch{Command: backend.Command{Path: "/bin/sleep", Args: []string{"60"}}, Health: "/health"}, nil
}

// TestImpostor: the program that answers on the port must be the started engine.
func TestImpostor(t *testing.T) {
	listen := func(port int) {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() { _ = http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) }()
	}
	_, box := servertest.Docker(t, "/bin/sleep")
	for name, spec := range map[string]backend.Spec{"process": {}, "container": {Container: box}} {
		_, err := startServer(t.Context(), impostor{listen: listen}, spec,
			Options{StartTimeout: 5 * time.Second, StopTimeout: time.Second})
		if f := fault.As(err); err == nil || f.Class != codes.ClassPortInUse {
			t.Errorf("%s: %v (%s), want a port in use", name, err, f.Class)
		}
	}
}

// contested is a stub whose first port another program has taken.
type contested struct {
	impostor
	command  backend.Command
	launches int
}

func (c *contested) Launch(_ context.Context, _ backend.Spec, port int) (Launch, error) {
	if c.launches++; c.launches == 1 {
		c.listen(port)
	}
	command := c.command
	command.Args = []string{"--port", strconv.Itoa(port)}
	return Launch{Command: command, Health: servertest.VLLM{}.Health()}, nil
}

// TestPortTaken: a port that was taken in the meantime costs another start, but not the timeout of an unanswered
// request.
func TestPortTaken(t *testing.T) {
	l := &contested{command: servertest.Command(t, "vllm", servertest.None), impostor: impostor{listen: func(port int) {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}}}
	s, err := startServer(t.Context(), l, backend.Spec{LogPath: filepath.Join(t.TempDir(), "engine.log")},
		Options{StartTimeout: askTimeout - time.Second, StopTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || l.launches != 2 {
		t.Errorf("close: %v; %d launches, want 2", err, l.launches)
	}
}

// TestLineEnds: an event may end its lines with CR and LF.
func TestLineEnds(t *testing.T) {
	var e events
	e.feed([]byte("data: one\r\ndata: two\r\n\r\n"), 1)
	if len(e.list) != 1 || string(e.data(0)) != "one\ntwo" {
		t.Errorf("%d events, the first %q", len(e.list), e.text)
	}
}

// TestCountsBelieved: the limits within which an engine's count of the tokens so far is accepted.
func TestCountsBelieved(t *testing.T) {
	ids := func(n int) []int32 { return make([]int32, n) }
	for name, q := range map[string]struct {
		event  Event
		have   int
		want   int
		failed string
	}{
		"one with its id":    {Event{Total: 4, IDs: ids(1)}, 3, 1, ""},
		"all ids so far":     {Event{Total: 4, IDs: ids(4)}, 3, 1, ""},
		"one more is hidden": {Event{Total: 5, IDs: ids(1), Hidden: 1}, 3, 2, ""},
		"two more, one is hidden": {Event{Total: 6, IDs: ids(1), Hidden: 1}, 3, 0,
			"counts 6 output tokens, its stream brought 4"},
		"ends hidden":         {Event{Total: 8, Hidden: 3}, 5, 3, ""},
		"more than was asked": {Event{Total: 9, Hidden: 3}, 8, 0, "counts 9 output tokens, its stream brought 8"},
		"twice as many":       {Event{Total: 16, Hidden: 3}, 8, 0, "counts 16 output tokens, its stream brought 8"},
		"long, with its id":   {Event{Total: 9, IDs: ids(1)}, 8, 1, ""},
		"fewer than before":   {Event{Total: 3, IDs: ids(1)}, 4, 0, "counts 3 output tokens, its stream brought 4"},
		"below none":          {Event{Total: -1, IDs: ids(1)}, 0, 0, "counts -1 output tokens, its stream brought 0"},
		"wild": {Event{Total: 1e18, IDs: ids(1), Hidden: 1 << 30}, 0, 0,
			"counts 1000000000000000000 output"},
		"too many at once": {Event{Tokens: 1 << 20}, 0, 0, "brings 1048576 tokens, 8 were asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := q.event.fresh(q.have, 8)
			if n != q.want || (err == nil) != (q.failed == "") ||
				err != nil && !strings.Contains(err.Error(), q.failed) {
				t.Errorf("%d, %v, want %d, %q", n, err, q.want, q.failed)
			}
		})
	}
}

// TestMostBytes: an answer may be as long as its tokens need, and no longer.
func TestMostBytes(t *testing.T) {
	for _, q := range []struct {
		prompt, output int
		repeats        bool
		least, most    int
	}{
		{16, 16, false, 1 << 20, 2 << 20},
		{2048, 512, false, 3 << 20, 4 << 20},
		{16, 2048, true, 128 << 20, 160 << 20},
		{16, 1 << 20, true, maxEvents, maxEvents},
		{1 << 40, 1 << 40, false, maxEvents, maxEvents},
	} {
		if n := mostBytes(q.prompt, q.output, q.repeats); n < q.least || n > q.most {
			t.Errorf("%+v: %d", q, n)
		}
	}
}

// TestLongAnswer: a stream may have as many bytes as its request needs, and not one more.
func TestLongAnswer(t *testing.T) {
	const stream = "data: 12345\n\n"
	for most, ok := range map[int]bool{len(stream): true, len(stream) - 1: false} {
		c := answering(t, []byte("HTTP/1.1 200 OK\r\n\r\n"+stream))
		if _, err := c.head(); err != nil {
			t.Fatal(err)
		}
		var e events
		if err := e.readAll(c, most, func(int64) {}); (err == nil) != ok || (len(e.list) == 1) != ok {
			t.Errorf("%d of %d bytes are allowed: %d events, %v", most, len(stream), len(e.list), err)
		}
	}
}

// TestPlausible: impossible counters are rejected.
func TestPlausible(t *testing.T) {
	for _, c := range []Counters{{}, {Prompt: 1e12, Cached: 5, Output: 3, Steps: 2, Running: 1}} {
		if !c.plausible() {
			t.Errorf("%+v is refused", c)
		}
	}
	for _, c := range []Counters{{Prompt: math.NaN()}, {Cached: -1}, {Output: math.Inf(1)}, {Steps: 1e300},
		{Running: math.Inf(-1)}} {
		if c.plausible() {
			t.Errorf("%+v is read", c)
		}
	}
}

// TestClipped: an engine's messages about a request are kept up to a maximum length.
func TestClipped(t *testing.T) {
	if s := clipped("short", 10); s != "short" {
		t.Errorf("%q", s)
	}
	if s := clipped(strings.Repeat("ä", 1<<20), 101); s != strings.Repeat("ä", 50)+"…" {
		t.Errorf("%q", s)
	}
}
