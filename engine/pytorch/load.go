package pytorch

import (
	"context"
	"errors"
	"os"

	"github.com/llenergymeasure/llem/backend"
)

// Load keeps devices busy in pulses with known edges, with matrix products in a
// Python process of its own. It is what a sensor self-test watches.
type Load struct {
	*backend.Pulser
	dir string
}

// StartLoad starts the worker and prepares its devices: cuda (all visible GPUs),
// cuda:N or cpu. The caller closes the load.
func (b Backend) StartLoad(ctx context.Context, device string) (*Load, error) {
	if device == "auto" || !validDevice(device) {
		return nil, backend.Failf(backend.ClassConfig, "use cuda, cuda:N or cpu", "a load on %q is not possible",
			device)
	}
	command, dir, err := b.prepare(ctx)
	if err != nil {
		return nil, err
	}
	p, err := backend.StartPulser(ctx, Name, command, device, b.Limits)
	if err != nil {
		_ = os.RemoveAll(dir) // the failure to start is what matters
		return nil, err
	}
	return &Load{Pulser: p, dir: dir}, nil
}

// Close ends the worker and removes its files.
func (l *Load) Close() error { return errors.Join(l.Pulser.Close(), os.RemoveAll(l.dir)) }
