package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/backend/internal/lines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// stub is an engine made of functions; a nil function does nothing.
type stub struct {
	info     func() (Info, error)
	tokenize func([]string) ([][]int32, error)
	run      func(context.Context, Workload) (*Log, error)
	closed   int
}

func (s *stub) Info() (Info, error) {
	if s.info == nil {
		return Info{Version: "1", Device: "cpu"}, nil
	}
	return s.info()
}

func (*stub) Load(_ context.Context, _ Spec, progress func(string, float64)) (Loaded, error) {
	progress("load", 0.5)
	progress("place", math.NaN()) // this cannot be sent, and must not end the worker
	progress("load", 1)
	return Loaded{Vocab: 2}, nil
}

func (s *stub) Tokenize(texts []string) ([][]int32, error) { return s.tokenize(texts) }

func (s *stub) Run(ctx context.Context, w Workload) (*Log, error) {
	if s.run == nil {
		return &Log{StartNS: 1, EndNS: 2}, ctx.Err()
	}
	return s.run(ctx, w)
}

func (s *stub) Close() { s.closed++ }

// serveAll gives a worker all commands and returns its replies.
func serveAll(t *testing.T, engine Engine, commands string) (replies []reply, orphaned bool, err error) {
	t.Helper()
	var out bytes.Buffer
	in, feed := io.Pipe()
	go func() {
		_, _ = io.WriteString(feed, commands)
		if !strings.Contains(commands, "stop") {
			feed.Close()
		}
	}()
	err = serve(engine, in, &out, func() { orphaned = true })
	replies, decodeErr := decodeAll[reply](&out, lines.Max)
	if endingOf(decodeErr) != cleanEnd {
		t.Fatalf("replies end with %v", decodeErr)
	}
	return replies, orphaned, err
}

func events(replies []reply) string {
	var b strings.Builder
	for _, r := range replies {
		fmt.Fprintf(&b, "%d %s", r.ID, r.Event)
		if r.Failure != nil {
			fmt.Fprintf(&b, " %s: %s", r.Failure.Class, r.Failure.Message)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestServe(t *testing.T) {
	gated := note.Failf(codes.ClassGated, "ask for access", "the model is gated")
	tests := []struct {
		name     string
		engine   stub
		commands string
		want     string
	}{
		{"whole life", stub{},
			`{"v":1,"id":1,"op":"hello"}` + "\n\n" + `{"id":2,"op":"load","load":{}}` + "\n" +
				`{"id":3,"op":"run","run":{}}` + "\n",
			"1 hello\n2 progress\n2 progress\n2 loaded\n3 finished\n3 done\n"},
		{"content is missing", stub{}, `{"id":2,"op":"load"}` + "\n" + `{"id":3,"op":"run"}` + "\n",
			"2 error protocol: load without a specification\n3 error protocol: run without a workload\n"},
		{"no chat template", stub{}, `{"id":5,"op":"template","chats":[[{"role":"user","content":"a"}]]}` + "\n",
			"5 error config: this engine has no way to put a prompt into the chat template of its model\n"},
		{"unknown command", stub{}, `{"id":5,"op":"sing"}` + "\n", "5 error protocol: unknown command \"sing\"\n"},
		{"cancel without a run", stub{}, `{"id":5,"op":"cancel"}` + "\n" + `{"id":6,"op":"run","run":{}}` + "\n",
			"6 finished\n6 done\n"},
		{"failure", stub{info: func() (Info, error) { return Info{}, fmt.Errorf("look: %w", gated) }},
			`{"id":1,"op":"hello"}` + "\n", "1 error gated_auth: the model is gated\n"},
		{"panic with a failure", stub{info: func() (Info, error) { panic(gated) }},
			`{"id":1,"op":"hello"}` + "\n", "1 error gated_auth: the model is gated\n"},
		{"panic with a text", stub{tokenize: func([]string) ([][]int32, error) { panic("no") }},
			`{"id":1,"op":"tokenize"}` + "\n", "1 error engine_error: engine failed in tokenize: no\n"},
		{"panic of the runtime",
			stub{tokenize: func(texts []string) ([][]int32, error) { return nil, errors.New(texts[3]) }},
			`{"id":1,"op":"tokenize"}` +
				"\n", "1 error engine_error: engine failed in tokenize: runtime error: index out of range [3] " +
				"with length 0\n"},
		{"cancelled run", stub{run: func(context.Context, Workload) (*Log, error) {
			return nil, fmt.Errorf("step 3: %w", context.Canceled)
		}}, `{"id":1,"op":"run","run":{}}` + "\n", "1 error interrupted: the run was cancelled\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, orphaned, err := serveAll(t, &test.engine, test.commands+`{"id":9,"op":"stop"}`+"\n")
			if diff := cmp.Diff(test.want+"9 bye\n", events(got)); diff != "" {
				t.Errorf("replies (-want +got):\n%s", diff)
			}
			if err != nil || orphaned || test.engine.closed != 1 {
				t.Errorf("serve = %v, orphaned %v, closed %d times, want a stop", err, orphaned, test.engine.closed)
			}
		})
	}
}

// TestServeOrphaned: a worker without its parent must end, wherever the stream of commands broke off.
func TestServeOrphaned(t *testing.T) {
	for _, commands := range []string{"", `{"id":1,"op":"hello"}` + "\n", `{"id":1,"op":"hel`} {
		_, orphaned, err := serveAll(t, &stub{}, commands)
		if !orphaned || err == nil {
			t.Errorf("after %q: orphaned %v, error %v, want the end", commands, orphaned, err)
		}
	}
	_, orphaned, err := serveAll(t, &stub{}, "GET / HTTP/1.1\n")
	if orphaned || err == nil || !strings.Contains(err.Error(), "GET /") {
		t.Errorf("after nonsense: orphaned %v, error %v, want a syntax error", orphaned, err)
	}
}

// TestServeReplyTooLong: a reply that is too long to send is a failure of its command only.
func TestServeReplyTooLong(t *testing.T) {
	engine := stub{info: func() (Info, error) { return Info{Version: strings.Repeat("x", lines.Max)}, nil }}
	got, _, err := serveAll(t, &engine,
		`{"id":1,"op":"hello"}`+"\n"+`{"id":2,"op":"run","run":{}}`+"\n"+`{"id":3,"op":"stop"}`+"\n")
	if err != nil || len(got) != 4 || got[0].Event != eventError ||
		!strings.Contains(got[0].Failure.Message, lines.ErrTooLong.Error()) {
		t.Errorf("serve = %q, %v, want a failure, then an answer", events(got), err)
	}
}

func TestServeLosesItsReader(t *testing.T) {
	in, feed := io.Pipe()
	defer feed.Close()
	go func() { _, _ = io.WriteString(feed, `{"id":1,"op":"hello"}`+"\n") }()
	_, out := io.Pipe()
	broken := errors.New("broken pipe")
	out.CloseWithError(broken)
	if err := serve(&stub{}, in, errWriter{broken}, func() {}); !errors.Is(err, broken) {
		t.Errorf("serve = %v, want %v", err, broken)
	}
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

// TestServeRunsBackToBack: the end of a run must not cancel the next one, which may already have been read.
func TestServeRunsBackToBack(t *testing.T) {
	in, commands := io.Pipe()
	send := func(line string) { _, _ = io.WriteString(commands, line+"\n") }
	go send(`{"id":0,"op":"run","run":{}}`)
	runs := 0
	engine := stub{run: func(ctx context.Context, _ Workload) (*Log, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if runs++; runs == 10 {
			go send(`{"id":10,"op":"stop"}`)
			return &Log{}, nil
		}
		send(fmt.Sprintf(`{"id":%d,"op":"run","run":{}}`, runs))
		time.Sleep(time.Millisecond) // time to read the command
		return &Log{}, nil
	}}
	var out bytes.Buffer
	done := make(chan error)
	go func() { done <- serve(&engine, in, &out, func() {}) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the runs came to a halt")
	}
	if got := strings.Count(out.String(), `"done"`); got != 10 {
		t.Errorf("%d of 10 runs finished:\n%s", got, out.String())
	}
}

// TestSendLogCutsByTokens: the lines of a long log stay far below the limit.
func TestSendLogCutsByTokens(t *testing.T) {
	log := Log{Steps: make([]Step, 50_000)}
	for i := range 40 {
		r := Request{ID: i, TokenNS: make([]int64, 8192), Output: make([]int32, 8192)}
		for j := range r.TokenNS {
			r.TokenNS[j], r.Output[j] = math.MaxInt64, math.MaxInt32
		}
		log.Requests = append(log.Requests, r)
	}
	var out bytes.Buffer
	s := &server{out: &out}
	if err := s.sendLog(1, &log); err != nil {
		t.Fatal(err)
	}
	replies, err := decodeAll[reply](&out, 4<<20)
	if endingOf(err) != cleanEnd {
		t.Fatalf("log lines: %v", err)
	}
	var got Log
	for _, r := range replies {
		got.Requests = append(got.Requests, r.Requests...)
		got.Steps = append(got.Steps, r.Steps...)
	}
	if !reflect.DeepEqual(got, log) { // much faster than a diff of this size
		t.Errorf("%d requests and %d steps arrived, want the log unchanged: %d and %d",
			len(got.Requests), len(got.Steps), len(log.Requests), len(log.Steps))
	}
}

func TestLimited(t *testing.T) {
	var got []string
	report := limited(func(phase string, fraction float64) { got = append(got, fmt.Sprint(phase, fraction)) })
	report("read", 0)
	report("read", 0.1)
	report("place", 0.1)
	report("place", 0.2)
	report("place", 1)
	if diff := cmp.Diff([]string{"read0", "place0.1", "place1"}, got); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}
