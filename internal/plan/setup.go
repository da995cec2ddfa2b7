package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/study"
)

// section is what an estimate reads of an experiment's section, and of its engine.
type section struct {
	engine.Estimate
	title, dtype            string
	profile                 *engine.Profile
	steps                   int
	gpu, hostToo, simulated bool
}

// engineOf describes an engine, always the same for one name.
func (e *Estimator) engineOf(name string) *engine.Descriptor {
	d, ok := e.found[name]
	if !ok {
		found := engines.Find(e.engines, name)
		d = &found
		e.found[name] = d
	}
	return d
}

// sectionOf reads the section of an experiment. Equal sections are read once.
func (e *Estimator) sectionOf(x study.Experiment) section {
	key := sectionKey{x.Backend, x.Section}
	s, ok := e.sections[key]
	if !ok {
		d := e.engineOf(x.Backend)
		s = section{about.Estimate(d, x.Section), cmp.Or(d.Title, d.Name), about.DType(d), d.Profile,
			about.Steps(d, x.Section), about.MayUseGPU(d, x.Section), d.HostToo, d.Simulated}
		e.sections[key] = s
	}
	return s
}

// needKeys are the keys of an engine that change the needs of a run, and of these the keys that spread it over devices.
type needKeys struct {
	estimate.Keys
	spread []string
}

// keysOf returns the keys of an engine that change the needs of a run.
func (e *Estimator) keysOf(backend string) needKeys {
	k, ok := e.keys[backend]
	if !ok {
		d := e.engineOf(backend)
		k.Batch = about.BatchKey(d)
		k.Parallel = about.KeyOf(d, func(e engine.Estimate) float64 { return float64(e.Parallel) })
		k.Pool = about.KeyOf(d, func(e engine.Estimate) float64 { return e.Pool })
		k.PoolCache = about.KeyOf(d, func(e engine.Estimate) float64 { return float64(e.PoolCache) })
		k.spread = slices.DeleteFunc([]string{k.Parallel,
			about.KeyOf(d, func(e engine.Estimate) float64 { return float64(e.Stages) }),
			about.KeyOf(d, func(e engine.Estimate) float64 { return float64(e.Copies) })},
			func(key string) bool { return key == "" })
		e.keys[backend] = k
	}
	return k
}

// formatOf returns the format of the weights that a backend will use, and a remark if that is a guess.
func formatOf(x study.Experiment, s section, stored shape.Stored) (estimate.Format, string) {
	if f, ok := storedFormat(stored); ok {
		return f, ""
	}
	dtype := estimate.BF16
	if f, err := estimate.ParseFormat(x.DType); err == nil {
		dtype = f
	} else if f, err := estimate.ParseFormat(s.dtype); err == nil {
		dtype = f
	}
	if s.Quantization == "" || s.Quantization == "auto" {
		return dtype, ""
	}
	if f, err := estimate.ParseFormat(s.Quantization); err == nil {
		return f, ""
	}
	return dtype, "how many bits the quantisation " + s.Quantization +
		" keeps is in the model's files: estimated as " + string(dtype)
}

// quantised returns a model whose linear layers the engine quantises as it loads it, or the reason why the result
// is unknown.
func (s section) quantised(c shape.Config, x study.Experiment) (shape.Config, string) {
	w := s.Weights
	switch {
	case w.Format == "":
		return c, ""
	case x.DType == string(estimate.FP32):
		return c, "no estimate supports quantised weights together with float32"
	case c.Stored.Quant != nil || c.Stored.File:
		return c, "the weights of " + x.Model + " are quantised already"
	case c.Experts > 0:
		return c, "which matrices of the experts of " + x.Model + " are quantised depends on the version of the library"
	case c.Parameters().Vision > 0:
		return c, "which matrices of the vision tower of " + x.Model + " are quantised is unknown"
	}
	c.Stored = shape.Stored{Format: w.Format,
		Quant: &shape.Quant{Type: w.Format, Bits: w.Bits, PerRow: w.RowBytes, Columns: w.Columns}}
	return c, ""
}

// storedFormat returns the format that stored weights are computed in; false if the experiment decides.
func storedFormat(s shape.Stored) (estimate.Format, bool) {
	switch {
	case s.Quant != nil && s.Quant.Type != "":
		return estimate.Format(s.Quant.Type), true
	case s.Quant != nil:
		return estimate.Int4, s.Bytes > 0
	case !s.File:
		return "", false
	}
	if f, err := estimate.ParseFormat(s.Format); err == nil && f != estimate.Int4 {
		return f, true
	}
	return estimate.Q4_0, true // for ggml's other formats, the one that is computed alike
}

// choiceOf returns the format that the experiment asks the device to compute in.
func (e *Estimator) choiceOf(x study.Experiment) estimate.Choice {
	s := e.sectionOf(x)
	return estimate.Choice{Backend: x.Backend, DType: x.DType, Quantization: strings.ToLower(s.Quantization),
		Cache: s.CacheType, Attention: s.Attention, Widens: s.profile != nil && s.profile.Widens,
		Strict: s.profile != nil && s.profile.Strict}
}
