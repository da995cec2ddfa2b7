package cli

import (
	"context"

	"github.com/llenergymeasure/llem/cmd/llem/internal/inventory"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/study"
)

// chooseBackend asks which backend to use if the study names none, several can run here and
// the terminal is interactive. It returns "" to keep the backend of the study.
func (env *Env) chooseBackend(ctx context.Context, s *study.Study, python string) (string, error) {
	if s.BackendNamed || !env.StdinTTY || !env.StderrTTY {
		return "", nil
	}
	backends := machine.Backends(nil, python)
	list := engines.All()
	names := inventory.Offered(list, func(name string) bool {
		b, known := backends[name]
		if !known {
			return false
		}
		_, err := b.Probe(ctx)
		return err == nil
	})
	if len(names) < 2 {
		return "", context.Cause(ctx)
	}
	type reply struct {
		name string
		err  error
	}
	answer := make(chan reply, 1)
	go func() {
		name, err := inventory.Ask(env.Stdin, env.Stderr, names, list)
		answer <- reply{name, err}
	}()
	select {
	case r := <-answer:
		return r.name, r.err
	case <-ctx.Done(): // the reader of standard input ends with the process
		return "", context.Cause(ctx)
	}
}
