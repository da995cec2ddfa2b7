package measure

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
)

// mostSampled is the memory that the series of a window should not exceed; an hour of eight GPUs takes 15 MB.
const mostSampled = 20e6

// harness records the cost of measuring during the window.
func (d *desk) harness(m *measured) {
	h := m.spent.Harness(m.trace.Cost, m.anchor)
	if h.SamplerBytes > mostSampled {
		d.record.Warn(codes.SamplerMemory,
			fmt.Sprintf("the sampled series took %.0f MB of memory during the window, more than %.0f MB: use a "+
				"shorter window or fewer devices",
				float64(h.SamplerBytes)/1e6, mostSampled/1e6))
	}
	if about.Serves(&d.Engine, d.Experiment.Section) {
		h.Client = d.Client
	}
	d.record.Harness = h
}
