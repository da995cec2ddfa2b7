package pytorch

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Load keeps devices busy in pulses with known edges, with matrix products in a
// Python process of its own. It is what a sensor self-test watches.
type Load struct{ *backend.Pulser }

// StartLoad starts the worker and prepares its devices: cuda (all visible GPUs),
// cuda:N or cpu. The caller closes the load.
func (b Backend) StartLoad(ctx context.Context, device string) (*Load, error) {
	if device == "auto" || !validDevice(device) {
		return nil, note.Failf(codes.ClassConfig, "use cuda, cuda:N or cpu", "a load on %q is not possible",
			device)
	}
	python, err := b.interpreter(ctx)
	if err != nil {
		return nil, err
	}
	p, err := b.worker().StartPulser(ctx, python, device)
	if err != nil {
		return nil, err
	}
	return &Load{Pulser: p}, nil
}

// validDevice reports whether the section takes a device.
func validDevice(name string) bool {
	for _, f := range new(Section).Fields() {
		if f.Key == "device" {
			_, err := f.Kind().Parse(name)
			return err == nil
		}
	}
	return false
}
