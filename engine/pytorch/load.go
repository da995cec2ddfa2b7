package pytorch

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/note"
)

// StartLoad implements machine.Loader: matrix products in a separate Python process.
func (b launcher) StartLoad(ctx context.Context, device string) (*backend.Pulser, error) {
	if device == "auto" || !validDevice(device) {
		return nil, note.Failf(codes.ClassConfig, "use cuda, cuda:N or cpu", "a load on %q is not possible",
			device)
	}
	python, err := b.interpreter(ctx)
	if err != nil {
		return nil, err
	}
	return b.worker().StartPulser(ctx, python, device)
}

// validDevice reports whether the section accepts a device.
func validDevice(name string) bool {
	for _, f := range new(settings).Fields() {
		if f.Key == "device" {
			slot := grammar.Slot(f)
			_, err := slot.Kind().Parse(name)
			return err == nil
		}
	}
	return false
}
