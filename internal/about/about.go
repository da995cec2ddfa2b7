// Package about answers questions about an experiment's engine, from its descriptor and the section of the
// experiment. It applies the defaults where a descriptor sets nothing.
package about

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/grammar"
)

// DefaultSequences is the default of [engine.Descriptor.Sequences].
const DefaultSequences = 256

// Steps returns the number of sequences in a full step of an experiment's engine.
func Steps(d *engine.Descriptor, j engine.JSON) int {
	return cmp.Or(j.Batch(), d.Sequences, DefaultSequences)
}

// Static reports whether an engine runs requests in batches one after the other, instead of adding each as soon as
// there is room.
func Static(d *engine.Descriptor, j engine.JSON) bool {
	return d.Settle != nil && !strings.Contains(string(j), `"batching":"continuous"`)
}

// Recipe returns the Dockerfile in the source folder that builds an image of the engine; empty for an image of its
// makers or of the user.
func Recipe(d *engine.Descriptor, image string) string {
	if d.Image != "" || image != "llem-"+d.Name {
		return ""
	}
	return "docker/" + d.Name + ".Dockerfile"
}

// DType returns what dtype auto means.
func DType(d *engine.Descriptor) string { return cmp.Or(d.DType, "bfloat16") }

// Estimate reads what estimates need from a section.
func Estimate(d *engine.Descriptor, j engine.JSON) engine.Estimate {
	if d.Estimate == nil {
		return engine.Estimate{}
	}
	s, err := Read(d, j)
	if err != nil {
		return engine.Estimate{Unknown: err.Error()}
	}
	return d.Estimate(s)
}

// KeyOf returns the key, with its engine, of the section's setting that an estimate reads as the
// number of returns; empty
// if the engine has none.
func KeyOf(d *engine.Descriptor, of func(engine.Estimate) float64) string {
	if d.Estimate == nil {
		return ""
	}
	usual := of(d.Estimate(d.Section()))
	for _, f := range d.Section().Fields() {
		for _, value := range []string{"2", "0.5"} { // a count, and a share
			s := d.Section()
			err := engine.Decode(fmt.Appendf(nil, "{%q: %s}", f.Key, value), s)
			if err == nil && of(d.Estimate(s)) != usual {
				return d.Name + "." + f.Key
			}
		}
	}
	return ""
}

// BatchKey returns the key of an engine's maximum number of sequences in a step, with the engine.
func BatchKey(d *engine.Descriptor) string {
	for _, f := range d.Section().Fields() {
		if slices.Contains(grammar.BatchKeys(), f.Key) {
			return d.Name + "." + f.Key
		}
	}
	return ""
}

// TakesGGUF reports whether an engine is given a model as a GGUF file: an engine that reads such files always is,
// and an engine that computes nothing accepts whatever is there.
func TakesGGUF(d *engine.Descriptor, isFile bool) bool { return d.GGUF || d.Simulated && isFile }

// common finds conflicts that concern every engine; it runs before the engine's own check.
func common(d *engine.Descriptor, s engine.Section, j engine.Job) *engine.Conflict {
	switch {
	case j.Concurrency > 0 && !Schedules(d, s):
		return engine.Conflictf("workload.concurrency", "leave it out, or set the batch size",
			"workload.concurrency is %d, but the %s backend receives all requests at once", j.Concurrency, d.Name)
	case j.Turns > 1 && !Schedules(d, s):
		return engine.Conflictf("workload.load.turns", "leave it out, or use an engine that batches continuously",
			"workload.load.turns needs an engine that accepts requests while it works, but the %s backend receives "+
				"all requests at once", d.Name)
	case j.Open && !Schedules(d, s):
		return engine.Conflictf("workload.load.kind", "leave it out, or use an engine that batches continuously",
			"workload.load needs an engine that accepts requests while it works, but the %s backend receives all "+
				"requests at once", d.Name)
	case !d.GGUF && !d.Simulated && (j.DType == "q8_0" || j.DType == "q4_0"):
		return engine.Conflictf("dtype", "use float32, float16 or bfloat16, or backend: embedded",
			"dtype %s is a ggml format that the %s backend cannot run", j.DType, d.Name)
	}
	return nil
}

// Schedules reports whether requests can arrive at an engine by themselves.
func Schedules(d *engine.Descriptor, s engine.Section) bool {
	return d.Serves != nil && d.Serves(s) || d.Schedules != nil && d.Schedules(s)
}

// Conflicts returns the first pair of incompatible values, or nil.
func Conflicts(d *engine.Descriptor, s engine.Section, j engine.Job) *engine.Conflict {
	if c := common(d, s, j); c != nil || d.Conflict == nil {
		return c
	}
	return d.Conflict(s, j)
}

// Read decodes a section of an experiment.
func Read(d *engine.Descriptor, j engine.JSON) (engine.Section, error) {
	s := d.Section()
	if err := engine.Decode([]byte(j), s); err != nil {
		return s, fmt.Errorf("read the %s section: %w", d.Name, err)
	}
	return s, nil
}

// MayUseGPU reports whether the engine may use a GPU with these settings.
func MayUseGPU(d *engine.Descriptor, j engine.JSON) bool {
	if d.GPU == nil {
		return true
	}
	s, err := Read(d, j)
	return err != nil || d.GPU(s)
}

// Serves reports whether an engine with these settings is a server, which is driven by a client.
func Serves(d *engine.Descriptor, j engine.JSON) bool {
	if d.Serves == nil {
		return false
	}
	s, err := Read(d, j)
	return err == nil && d.Serves(s)
}

// DemandsGPU reports whether the engine cannot start without a GPU with these settings.
func DemandsGPU(d *engine.Descriptor, j engine.JSON) bool {
	if d.Demands == nil {
		return false
	}
	s, err := Read(d, j)
	return err == nil && d.Demands(s)
}
