package backend_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// stallLimit is how long workers of these tests may stall.
const stallLimit = 400 * time.Millisecond

// watched are options whose only short limit is the stall limit.
var watched = backend.WorkerOptions{StallTimeout: stallLimit, StopTimeout: 50 * time.Millisecond}

// TestStoppedWorker: a worker that is stopped (SIGSTOP) in any phase is noticed, reported with what it was doing,
// and gone afterwards.
func TestStoppedWorker(t *testing.T) {
	use := func(do func(ctx context.Context, s backend.Session) error) func(*testing.T, string) error {
		return func(t *testing.T, mode string) error {
			s, err := testBackend{mode, watched}.Start(t.Context(), backend.Spec{MaxContext: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			err = do(t.Context(), s)
			if closeErr := s.Close(); closeErr != nil {
				t.Error(closeErr)
			}
			checkGone(t, s.Loaded().PID)
			return err
		}
	}
	for mode, q := range map[string]struct {
		do    func(*testing.T, string) error
		doing string
	}{
		"stops at hello": {func(t *testing.T, mode string) error {
			_, err := testBackend{mode, watched}.Start(t.Context(), backend.Spec{})
			return err
		}, "starting"},
		"stops at load": {func(t *testing.T, mode string) error {
			_, err := testBackend{mode, watched}.Start(t.Context(), backend.Spec{})
			return err
		}, "loading the model"},
		"stops at adapt": {use(func(ctx context.Context, s backend.Session) error {
			return backend.Adapt(ctx, s, backend.Spec{})
		}), "taking other settings"},
		"stops at tokenize": {use(func(ctx context.Context, s backend.Session) error {
			_, err := s.Tokenize(ctx, []string{"text"})
			return err
		}), "tokenizing"},
		"stops at run": {use(func(ctx context.Context, s backend.Session) error {
			_, err := s.Run(ctx, work(1, 1))
			return err
		}), "running"},
		// The command does not fit into the pipe.
		"stops after load": {use(func(ctx context.Context, s backend.Session) error {
			_, err := s.Tokenize(ctx, []string{strings.Repeat("text ", 100_000)})
			return err
		}), "tokenizing"},
		"stops at pulse": {func(t *testing.T, mode string) error {
			_, err := backend.StartPulser(t.Context(), mode, self(mode), "cpu", watched)
			return err
		}, "preparing a load"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := q.do(t, mode)
			if err == nil {
				t.Fatal("the stall was not noticed")
			}
			f := fault.As(err)
			if f.Class != codes.ClassHung || !strings.Contains(f.Message, "stalled while "+q.doing) ||
				!strings.Contains(f.Message, "stopped processes (state T)") || !strings.Contains(f.Next, "SIGSTOP") {
				t.Errorf("%s: %q, next %q; want it stopped while %s", f.Class, f.Message, f.Next, q.doing)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestSilentWorker: silence alone is not a reason to stop a worker; a stalled process behind it is.
func TestSilentWorker(t *testing.T) {
	for mode, want := range map[string]string{
		"computes":                "",
		"sleeps":                  "hardly any processor time used (processes and their states: ",
		"waits for a stopped one": "stopped processes (state T)",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s, err := testBackend{mode, watched}.Start(t.Context(), backend.Spec{MaxContext: 100})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeoutCause(t.Context(), 50*stallLimit, errors.New("nothing was noticed"))
			defer cancel()
			switch _, err = s.Run(ctx, work(1, 1)); {
			case want == "" && err != nil:
				t.Errorf("%v of a worker that computes", err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}
