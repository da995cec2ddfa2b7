package measure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

func TestRecordOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Experiment.Warmup.Runs, l.options.Threads = 2, 7
		l.loaded.Notes = []string{"built without fast flags"}
		out, err := Run(t.Context(), l.options)
		if err != nil {
			t.Fatal(err)
		}
		r := out.Record
		want := &result.Tokens{Prompt: 3 * promptLen, PromptComputed: 3 * promptLen, Output: 3 * outputLen,
			RequestsOK: 3,
			Given:      3 * promptLen, Asked: 3 * outputLen}
		if diff := cmp.Diff(want, r.Tokens); diff != "" {
			t.Errorf("tokens (-want +got):\n%s", diff)
		}
		s := r.Window.DurationS
		near(t, "output tokens per second", r.Throughput.OutputTokensPerS, 3*outputLen/s, 1e-9)
		near(t, "total tokens per second", r.Throughput.TotalTokensPerS, 3*(promptLen+outputLen)/s, 1e-9)
		near(t, "requests per second", r.Throughput.RequestsPerS, 3/s, 1e-9)
		near(t, "window on the wall clock", r.Window.End.Sub(r.Window.Start).Seconds(), s, 1e-6)
		near(t, "TTFT", r.Latency.TTFT.P50, 120, 1e-6)
		near(t, "ITL", r.Latency.ITL.Max, 20, 1e-6)
		if l.warmed != 4 || l.closed == 0 {
			t.Errorf("%d warm-ups and %d times closed, want 4 and at least 1", l.warmed, l.closed)
		}
		if l.spec.Synthetic != true || l.spec.DType != "float16" || l.spec.MaxContext != promptLen+outputLen ||
			!strings.Contains(string(l.spec.Options), `"threads":7`) || len(l.spec.Symptoms) == 0 {
			t.Errorf("spec = %+v with options %s", l.spec, l.spec.Options)
		}
		if !r.Synthetic || r.WorkloadHash == "" || r.Compute == nil || r.Compute.FLOPs <= 0 ||
			*r.Memory.PeakBytes != 1<<20 {
			t.Errorf("record = %+v", r)
		}
		if msg, _ := warned(r, codes.Engine); msg != l.loaded.Notes[0] {
			t.Errorf("the engine's note is missing: %+v", r.Warnings)
		}
		if _, ok := warned(r, codes.UnequalWork); ok {
			t.Errorf("warnings = %+v", r.Warnings)
		}
		if len(out.Series.Requests) != 3 || len(out.Series.Steps) != outputLen {
			t.Errorf("%d rows of requests and %d of steps, want 3 and %d", len(out.Series.Requests),
				len(out.Series.Steps), outputLen)
		}
		var phases []event.Phase
		for _, e := range l.events {
			if p, ok := e.(event.PhaseStarted); ok {
				phases = append(phases, p.Phase)
			}
		}
		if diff := cmp.Diff([]event.Phase{event.Prepare, event.Load, event.Warmup, event.Warmup, event.Warmup,
			event.Warmup, event.Measure,
			event.Finish}, phases); diff != "" {
			t.Errorf("phases (-want +got):\n%s", diff)
		}
	})
}

// TestSeriesOfARun: everything that the numbers are made of is kept.
func TestSeriesOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		out, err := Run(t.Context(), l.options)
		if err != nil {
			t.Fatal(err)
		}
		inside := 0
		for _, p := range out.Series.Power {
			if p.Device != "gpu0" || p.Source != sensor.SourceFake || p.WindowMS != 5 {
				t.Fatalf("power row = %+v", p)
			}
			if w := out.Record.Window; p.MonoNS >= w.StartMonoNS && p.MonoNS <= w.EndMonoNS {
				inside++
			}
		}
		if want := out.Record.Energy.Devices[0].Series.Samples; inside != want || want == 0 {
			t.Errorf("%d rows in the window, the record says %d", inside, want)
		}
		if len(out.Series.Counters) < 2 {
			t.Errorf("%d counter readings, want at least one at each limit", len(out.Series.Counters))
		}
	})
}

// early makes a request end a token before it should.
func early(q *backend.Request) {
	q.OutputTokens--
	q.TokenNS = q.TokenNS[:q.OutputTokens]
}

// TestClaims: tokens that an engine counts and did not give are in no number.
func TestClaims(t *testing.T) {
	virtually(func(t *testing.T) {
		l := newLab(t)
		l.edit = func(log *backend.Log) { log.Requests[1].OutputTokens *= 2 }
		rec := l.measure(t, result.OK)
		msg, _ := warned(rec, "requests_failed")
		if !strings.HasPrefix(msg, "1 of 3 requests failed") || rec.Tokens.Output != 22 ||
			rec.Tokens.RequestsFailed != 1 {
			t.Errorf("warning %q, tokens %+v", msg, rec.Tokens)
		}
	})(t)
}

func TestUnequalWork(t *testing.T) {
	for name, q := range map[string]struct {
		edit func(*backend.Log)
		want string
	}{
		"prefix cache": {func(log *backend.Log) { log.Requests[0].PromptComputed = 1 },
			"the engine computed 17 prompt and 33 output tokens, but was given 24 and asked for 33: the run is not " +
				"compared with others"},
		"early end": {func(log *backend.Log) { early(&log.Requests[1]) },
			"the engine computed 24 prompt and 32 output tokens, but was given 24 and asked for 33: the run is not " +
				"compared with others"},
		"one early, one late": {func(log *backend.Log) {
			early(&log.Requests[1])
			late := &log.Requests[2]
			late.OutputTokens++
			late.TokenNS = append(late.TokenNS, late.EndNS)
		},
			"2 of 3 requests got more or fewer tokens than they asked for, although the sums are right: the run is " +
				"not compared with others"},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			l.edit = q.edit
			if msg, _ := warned(l.measure(t, result.OK), "unequal_work"); msg != q.want {
				t.Errorf("warning = %q, want %q", msg, q.want)
			}
		}))
	}
}

func TestFailedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		l.edit = func(log *backend.Log) { log.Requests[2].OK, log.Requests[2].Failure = false, "out of blocks" }
		r := l.withEnergy(t)
		want := &result.Tokens{Prompt: 2 * promptLen, PromptComputed: 2 * promptLen, Output: 2 * outputLen,
			RequestsOK:     2,
			RequestsFailed: 1, Given: 3 * promptLen, Asked: 3 * outputLen}
		if diff := cmp.Diff(want, r.Tokens); diff != "" {
			t.Errorf("tokens (-want +got):\n%s", diff)
		}
		if msg, _ := warned(r, codes.RequestsFailed); !strings.HasPrefix(msg, "1 of 3 requests failed") {
			t.Errorf("warning = %q", msg)
		}
		near(t, "per_output_token_j", r.Energy.PerOutputTokenJ.Value, r.Energy.TotalJ.Value/(2*outputLen), 1e-9)
		near(t, "total_j", r.Energy.TotalJ.Value, truth(r.Window), half(r.Energy.TotalJ)/0.8)
	})
}

// TestFailures: every failure is a record with its class, and the engine is gone.
func TestFailures(t *testing.T) {
	for name, q := range map[string]struct {
		spoil func(*testing.T, *lab)
		class note.Class
		want  string
	}{
		"all requests failed": {func(_ *testing.T, l *lab) {
			l.edit = func(log *backend.Log) {
				for i := range log.Requests {
					log.Requests[i].OK, log.Requests[i].Failure = false, "out of blocks"
				}
			}
		}, codes.ClassEngine, "completed no request: out of blocks"},
		"no requests in the log": {func(_ *testing.T,
			l *lab) {
			l.edit = func(log *backend.Log) { log.Requests = nil }
		},
			codes.ClassEngine, "completed no request"},
		"engine does not report its end": {func(_ *testing.T, l *lab) { l.silent = true },
			codes.ClassProtocol, "without reporting"},
		"engine does not start": {func(_ *testing.T, l *lab) {
			l.refuse = note.Failf(codes.ClassOOMGPU, "smaller batch", "no memory")
		},
			codes.ClassOOMGPU, "no memory"},
		"engine fails in the window": {func(_ *testing.T, l *lab) {
			l.run = func(context.Context, backend.Workload) error { return errors.New("bad kernel") }
		}, codes.ClassEngine, "bad kernel"},
		"no such data set": {func(t *testing.T, l *lab) {
			l.options.Experiment.Workload.Dataset = filepath.Join(t.TempDir(), "none.jsonl")
		}, codes.ClassConfig, "none.jsonl"},
		"data set with a mistake": {func(t *testing.T, l *lab) {
			l.options.Experiment.Workload.Dataset = write(t, "bad.jsonl", "{\"prompt\": \n")
		}, codes.ClassConfig, "bad.jsonl"},
		"too few prompts": {func(t *testing.T, l *lab) {
			l.options.Experiment.Workload.Dataset = write(t, "one.jsonl", "{\"prompt\": \"one\"}\n")
		}, codes.ClassConfig, "3"},
		"no such shape": {func(_ *testing.T, l *lab) { l.options.Experiment.Model = "random:tiny-lama" },
			codes.ClassModelNotFound, "tiny-lama"},
		"another dtype than the file's": {func(t *testing.T, l *lab) {
			shape, err := shape.Lookup("tiny-llama")
			if err != nil {
				t.Fatal(err)
			}
			file, err := l.options.Store.Random(t.Context(), shape, "float16", 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			l.options.Experiment.Model, l.options.Experiment.DType = file.Path, "q8_0"
		}, codes.ClassUnsupportedDType, "holds float16 weights, not q8_0"},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			q.spoil(t, l)
			r := l.measure(t, result.Failed)
			if r.Failure.Class != q.class || !strings.Contains(r.Failure.Message, q.want) {
				t.Errorf("failure = %+v, want class %s about %q", r.Failure, q.class, q.want)
			}
			if r.Energy.TotalJ != nil || r.Energy.Reason != "the run did not finish" {
				t.Errorf("energy = %+v, want null with a reason", r.Energy)
			}
			if started := l.spec.Path != "" && l.refuse == nil; started != (l.closed > 0) {
				t.Errorf("started: %v, closed %d times", started, l.closed)
			}
		}))
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDataset: prompts of a file are tokenized by the engine and cut.
func TestDataset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Experiment.Workload.Dataset = write(t, "three.jsonl",
			"{\"prompt\": \"one\"}\n{\"prompt\": \"number two\"}\n{\"prompt\": \"three\"}\n")
		r := l.measure(t, result.OK)
		if want := int64(len("one") + promptLen + len("three")); r.Tokens.Prompt != want {
			t.Errorf("%d prompt tokens, want %d", r.Tokens.Prompt, want)
		}
	})
}

// TestEndOfTime: a context that ends in the window is a timeout or an
// interruption, by its cause.
func TestEndOfTime(t *testing.T) {
	stop := errors.New("user pressed a key")
	for name, q := range map[string]struct {
		cause  error
		status result.Status
		class  note.Class
		err    error
	}{
		"timeout":   {ErrTimeout, result.Failed, codes.ClassTimeout, nil},
		"cancelled": {nil, result.Interrupted, codes.ClassInterrupted, context.Canceled},
		"stopped":   {stop, result.Interrupted, codes.ClassInterrupted, stop},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			l.options.Meters = []power.Meter{l.newMeter(gpu0)}
			l.run = func(ctx context.Context, _ backend.Workload) error {
				cancel(q.cause)
				<-ctx.Done()
				return ctx.Err()
			}
			out, err := Run(ctx, l.options)
			if !errors.Is(err, q.err) {
				t.Errorf("error = %v, want %v", err, q.err)
			}
			r := out.Record
			if r.Status != q.status || r.Failure == nil || r.Failure.Class != q.class || r.Failure.Next == "" {
				t.Errorf("status %s, failure %+v, want %s of class %s", r.Status, r.Failure, q.status, q.class)
			}
			if q.class == codes.ClassTimeout && !strings.Contains(r.Failure.Message, "measure") {
				t.Errorf("message = %q, want the phase in which time ran out", r.Failure.Message)
			}
			if l.closed == 0 {
				t.Error("the engine was left running")
			}
		}))
	}
}

// TestCancelledBaseline: an interruption does not wait for the baseline to end.
func TestCancelledBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Experiment.Baseline.Seconds = 3600
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l.options.Emit = func(e event.Event) {
			if p, ok := e.(event.Progress); ok && p.Phase == event.Baseline {
				cancel()
			}
		}
		out, err := Run(ctx, l.options)
		if !errors.Is(err, context.Canceled) || out.Record.Status != result.Interrupted {
			t.Errorf("error %v, status %s, want an interruption", err, out.Record.Status)
		}
	})
}
