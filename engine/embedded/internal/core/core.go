// Package core is what both processes of the embedded engine share: its section, the instruction sets this binary
// was built for, and the files it reads.
package core

import (
	"context"
	"fmt"
	"runtime"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/note"
)

// Name of the backend in study files.
const Name = "embedded"

// Backend starts embedded workers.
type Backend struct {
	// Command starts a worker process; by default the running program.
	Command *backend.Command
	// Options bound how long the worker may take.
	Options backend.WorkerOptions
}

// Name implements backend.Backend.
func (Backend) Name() string { return Name }

// Probe implements backend.Backend without starting a process: the engine is
// part of this program.
func (b Backend) Probe(context.Context) (backend.Info, error) { return Info() }

// Start implements backend.Backend.
func (b Backend) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	if _, err := Info(); err != nil && spec.Container == nil {
		return nil, err
	}
	cmd, err := b.command()
	if err != nil {
		return nil, err
	}
	return backend.StartWorker(ctx, Name, cmd, spec, b.Options)
}

func (b Backend) command() (backend.Command, error) {
	if b.Command != nil {
		return *b.Command, nil
	}
	return self.Command(Name)
}

// Settings reads the section and fills in what the spec leaves open.
func Settings(spec backend.Spec) (Section, error) {
	o := *Defaults()
	o.BatchSize = max(1, spec.BatchSize)
	if err := engine.Decode(spec.Options, &o); err != nil {
		return o, &note.Failure{Class: codes.ClassConfig, Message: "read the embedded section", Err: err}
	}
	if o.Threads <= 0 {
		return o, note.Failf(codes.ClassConfig, "set embedded.threads",
			"the embedded engine needs an explicit number of threads")
	}
	if n := runtime.NumCPU(); o.Threads > n {
		return o, note.Failf(codes.ClassConfig, fmt.Sprintf("set embedded.threads to at most %d", n),
			"embedded.threads is %d, but this process may use %d processors: the engine's threads spin, and more "+
				"than one per processor stalls it", o.Threads, n)
	}
	return o, nil
}

// Defaults returns the default section.
func Defaults() *Section {
	// Larger chunks need more working memory and are not faster on a CPU.
	return &Section{BatchSize: 1, PrefillChunk: 512}
}
