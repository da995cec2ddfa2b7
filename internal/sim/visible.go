package sim

import (
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/clock"
)

// Visible is [EngineOptions.Scale] for an engine in a process with this CUDA_VISIBLE_DEVICES: all of the model's power
// on each GPU in the list. An entry is an index among the usable GPUs, or the beginning of a UUID; the list ends at its
// first other entry. If it names no GPU of the simulation, as on a machine whose list is about its real ones, it is
// nil.
func (f *File) Visible(list string) []float64 {
	var scale []float64
	var usable []int
	for gpu := range f.GPUs() {
		if !f.unusable(gpu, clock.Mono()) {
			usable = append(usable, gpu)
		}
	}
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		found := -1
		if i, err := strconv.Atoi(entry); err == nil && i >= 0 && i < len(usable) {
			found = usable[i]
		} else if err != nil && entry != "" {
			for _, gpu := range usable {
				if strings.HasPrefix(f.UUID(gpu), entry) {
					found = gpu
				}
			}
		}
		if found < 0 {
			break
		}
		if scale == nil {
			scale = make([]float64, f.GPUs())
		}
		scale[found] = 1
	}
	return scale
}
