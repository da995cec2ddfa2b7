package servertest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Suite is what every server backend passes with a stub as its program: it ends in time whatever the engine does,
// and reports when the engine has done other work.
type Suite struct {
	// Backend returns a backend with a stub as its program.
	Backend func(Stubbed) backend.Backend
	Spec    backend.Spec
	// Option is the first of the dialect's options, with the settings that make the
	// backend pass it.
	Option, Settings string
	// Caching are the settings that enable the prefix cache; empty if the engine has none.
	Caching string
	// SaysCache reports that the engine can be queried whether it keeps a prefix cache.
	SaysCache bool
	// LateTokens reports that the engine's count includes tokens without an event.
	LateTokens bool
	// CountsEarly reports that the engine's count comes with the tokens, not after them.
	CountsEarly bool
}

// Stubbed is how a backend with a stub is set up.
type Stubbed struct {
	Command      backend.Command
	Start, Stall time.Duration
	Streams      int
}

// Spec returns a tiny model in a Hugging Face folder with the files that server backends read.
func Spec(t *testing.T) backend.Spec {
	return backend.Spec{Model: "random:tiny-llama", Path: Folder(t), Synthetic: true, DType: "bfloat16"}
}

// Command starts this test's program as a stub; TestMain must call [Main].
func Command(t *testing.T, dialect string, fault Fault) backend.Command {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return backend.Command{Path: self, Env: []string{Env + "=" + dialect + "," + string(fault) + ",1ms"}}
}

// Folder returns the folder of a tiny model.
func Folder(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"vocab_size": 300}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Shaped is the folder of a tiny model with its shape.
func Shaped(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type":"llama","vocab_size":300,`+
		`"hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,`+
		`"intermediate_size":128,"max_position_embeddings":512,"rms_norm_eps":1e-5,"rope_theta":10000.0}`),
		0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Run runs the suite.
func (s Suite) Run(t *testing.T, dialect string) {
	t.Run("Faults", func(t *testing.T) { s.faults(t, dialect) })
	t.Run("OtherWork", func(t *testing.T) { s.otherWork(t, dialect) })
	t.Run("Forgets", func(t *testing.T) { s.forgets(t, dialect) })
	t.Run("UnknownOption", func(t *testing.T) { s.unknownOption(t, dialect) })
}

func (s Suite) spec(t *testing.T) backend.Spec {
	spec := s.Spec
	spec.BatchSize, spec.MaxContext, spec.LogPath = 4, 64, filepath.Join(t.TempDir(), "engine.log")
	return spec
}

// work returns four prompts that differ in their first token.
func work() backend.Workload {
	w := backend.Workload{OutputTokens: 8}
	for i := range int32(4) {
		w.Requests = append(w.Requests, backend.Prompt{ID: int(i) + 10, Tokens: []int32{i + 1, 5, 6, 7}})
	}
	return w
}

// expected is how a fault is reported.
type expected struct {
	class      note.Class
	says, hint string
}

// faults checks that every failure ends in time, is in the right class, and leaves nothing running.
func (s Suite) faults(t *testing.T, dialect string) {
	list := map[Fault]expected{
		NeverReady:    {codes.ClassStartTimeout, "not ready within 2s: GET /", "engine.log"},
		DiesLoading:   {codes.ClassUnsupportedModel, "exited with status 1 while starting", ""},
		BadFlag:       {codes.ClassVersion, "unrecognized arguments: --no-such", "leave that key out"},
		DiesStreaming: {codes.ClassOOMGPU, "exited with status 1 while running", ""},
		Stalls:        {codes.ClassHung, "no output for", "engine.log"},
		Stopped:       {codes.ClassHung, "running, with requests under way and was ended: no output for", "SIGSTOP"},
		StopsLoading:  {codes.ClassHung, "stalled while starting and was ended: no output for", "SIGSTOP"},
		Answers500:    {codes.ClassEngine, "answered 500", "engine.log"},
		Malformed:     {codes.ClassEngine, "broke its own format", "engine.log"},
		BreaksOff:     {codes.ClassEngine, "after 3 of 8 tokens", "engine.log"},
		CountsWrong:   {codes.ClassEngine, "counts 9 output tokens, its stream brought 8", "engine.log"},
		CountsTwice:   {codes.ClassEngine, "counts 16 output tokens, its stream brought 8", "engine.log"},
		CountsFewer:   {codes.ClassEngine, "counts 7 output tokens, its stream brought 8", "engine.log"},
		CountsBelow:   {codes.ClassEngine, "counts -1 output tokens, its stream brought 8", "engine.log"},
		CountsAbsurd: {codes.ClassEngine, "counts 1000000000000000000 output tokens, its stream brought 8",
			"engine.log"},
		CountsNothing: {codes.ClassEngine, "after 8 tokens without the engine's own count", "engine.log"},
		HoldsBack:     {codes.ClassEngine, "counts 8 output tokens, its stream brought 7", "engine.log"},
		StrangeID:     {codes.ClassEngine, "broke its own format: event 1 has token id 10737", "engine.log"},
		Floods:        {codes.ClassEngine, "after 3 of 8 tokens: the stream exceeds", "engine.log"},
		FloodsLine:    {codes.ClassEngine, "after 3 of 8 tokens: the stream exceeds", "engine.log"},
	}
	if s.LateTokens {
		delete(list, HoldsBack)
	}
	if s.CountsEarly {
		delete(list, CountsNothing)
		// its count may be the count of an earlier event
		list[HoldsBack] = expected{codes.ClassEngine, " 7", "engine.log"}
	}
	if s.SaysCache {
		list[KeepsCache] = expected{codes.ClassConfig, "keeps a prefix cache although it was told not to",
			"to measure with the cache"}
	}
	for fault, want := range list {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := s.Backend(Stubbed{Command: Command(t, dialect, fault), Start: 20 * time.Second, Stall: time.Second})
			if fault == NeverReady {
				b = s.Backend(Stubbed{Command: Command(t, dialect, fault), Start: 2 * time.Second, Stall: time.Second})
			}
			began := time.Now()
			session, err := b.Start(t.Context(), s.spec(t))
			pid := 0
			if err == nil {
				pid = session.Loaded().PID
				_, err = session.Run(t.Context(), work())
				if closeErr := session.Close(); closeErr != nil {
					t.Error(closeErr)
				}
			}
			check(t, err, want)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			if pid != 0 && syscall.Kill(-pid, 0) == nil {
				t.Error("a process is left")
			}
		})
	}
}

func check(t *testing.T, err error, want expected) {
	t.Helper()
	f, ok := errors.AsType[*note.Failure](err)
	if !ok {
		t.Fatalf("%v, want a failure", err)
	}
	if f.Class != want.class || !strings.Contains(f.Error(), want.says) || !strings.Contains(f.Next, want.hint) ||
		f.Next == "" {
		t.Errorf("class %v, message %q, hint %q, want %s, %q and %q", f.Class, f.Error(), f.Next, want.class,
			want.says, want.hint)
	}
}

// otherWork checks that work which differs from the request is reported in the log, request by request.
func (s Suite) otherWork(t *testing.T, dialect string) {
	list := map[Fault]func(backend.Request, *backend.Log) bool{
		FewerTokens: func(q backend.Request, _ *backend.Log) bool { return q.OK && q.OutputTokens == 6 },
		MoreTokens:  func(q backend.Request, _ *backend.Log) bool { return q.OK && q.OutputTokens == 10 },
		CacheHit: func(q backend.Request, _ *backend.Log) bool {
			return q.OK && q.PromptTokens == 4 && q.PromptComputed == 2
		},
		TwoAtOnce: func(q backend.Request, log *backend.Log) bool {
			return q.OK && q.OutputTokens == 8 && len(q.TokenNS) == 8 && q.TokenNS[0] == q.TokenNS[1] &&
				log.SharedStamps >= 16
		},
		ClosesIdle: func(q backend.Request, log *backend.Log) bool {
			return q.OK && q.OutputTokens == 8 && log.Reconnects == 3
		},
	}
	if s.LateTokens {
		list[HoldsBack] = func(q backend.Request, _ *backend.Log) bool {
			return q.OK && q.OutputTokens == 8 && q.Output == nil
		}
	}
	for fault, right := range list {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			set := Stubbed{Command: Command(t, dialect, fault), Start: 20 * time.Second, Stall: 3 * time.Second}
			if fault == ClosesIdle {
				set.Streams = 1
			}
			session, err := s.Backend(set).Start(t.Context(), s.spec(t))
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			log, err := session.Run(t.Context(), work())
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range log.Requests {
				if !right(q, log) {
					t.Errorf("request %+v, %d shared stamps, %d reconnects", q, log.SharedStamps, log.Reconnects)
				}
			}
		})
	}
}

// unknownOption checks that a program is not started with an option that its help does not list.
func (s Suite) unknownOption(t *testing.T, dialect string) {
	if s.Option == "" {
		t.Skip("this backend passes no options for settings")
	}
	spec := s.spec(t)
	spec.Options = []byte(s.Settings)
	for fault, refused := range map[Fault]bool{None: false, LacksOption: true} {
		session, err := s.Backend(Stubbed{Command: Command(t, dialect, fault), Start: 20 * time.Second,
			Stall: time.Second}).Start(t.Context(), spec)
		if !refused {
			if err != nil {
				t.Errorf("%v, want it to be started", err)
				continue
			}
			session.Close()
			continue
		}
		check(t, err, expected{codes.ClassVersion, "0.0.stub has no option " + s.Option + ": it was not started",
			"leave that key out"})
		if _, err := os.Stat(spec.LogPath); err == nil && refused {
			if b, _ := os.ReadFile(spec.LogPath); len(b) > 0 {
				t.Errorf("it was started: %s", b)
			}
		}
	}
}
