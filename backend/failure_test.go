package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
)

func TestFailf(t *testing.T) {
	got := note.Failf(codes.ClassConfig, "set %d", "threads is %d", 0)
	want := &note.Failure{Class: codes.ClassConfig, Next: "set %d", Message: "threads is 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failure (-want +got):\n%s", diff)
	}
	if got.Error() != "threads is 0" {
		t.Errorf("Error() = %q, want the message alone", got.Error())
	}
	if got := errors.Unwrap(got); got != nil {
		t.Errorf("Unwrap() = %v, want nil", got)
	}
}

func TestFailureWithCause(t *testing.T) {
	f := &note.Failure{Class: codes.ClassModelNotFound, Message: "open m.gguf", Err: fs.ErrNotExist,
		Next: "check the path"}
	if got, want := f.Error(), "open m.gguf: file does not exist"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(f, fs.ErrNotExist) {
		t.Error("the cause is not found in the failure")
	}
}

func TestAsFailure(t *testing.T) {
	f := note.Failf(codes.ClassOOMGPU, "use a smaller batch", "no memory")
	tests := []struct {
		name string
		err  error
		want *note.Failure
	}{
		{"failure", f, f},
		{"wrapped", fmt.Errorf("run 3: %w", f), f},
		{"joined", errors.Join(errors.New("first"), f), f},
		{"other", errors.New("odd"), &note.Failure{Class: codes.ClassEngine, Message: "odd"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, fault.As(test.err)); diff != "" {
				t.Errorf("fault.As(%v) (-want +got):\n%s", test.err, diff)
			}
		})
	}
}
