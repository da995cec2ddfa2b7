package plan

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// Estimator predicts the needs of experiments on this machine, or on a GPU of the catalogue.
type Estimator struct {
	gpu     *estimate.Device // nil without one
	free    digits.Bytes     // of the GPU
	gpus    int              // number of GPUs here; 0 if unknown
	card    *estimate.Device // the GPU, even if it is not in the catalogue; only its capability counts
	cpu     estimate.Device
	configs map[string]shape.Config
	errs    map[string]error
	earlier []estimate.Run
	// known caches estimates: points that differ only in a seed share one.
	known map[estimated]*Need
	// engines are the study's engines; nil means all engines of this program.
	engines engine.Descriptors
	found   map[string]*engine.Descriptor
	// keys are the keys of the engines that change the needs of a run, by engine.
	keys map[string]needKeys
	// sections caches what was read of sections; experiments share equal ones.
	sections map[sectionKey]section
	// files reads the traces of loads.
	files *extent.Files
}

// estimated is the part of an experiment that an estimate depends on.
type estimated struct {
	exact                     string
	model, backend, dtype     string
	dataset                   string
	prompts, input, output    int
	batch, warmup             int
	idle, resident, minWindow float64
	maxWindow                 float64
	shapes                    float64 // seconds for the shapes of the warm-up
	section                   section
	load                      string
	concurrency               int
}

// sectionKey is a section of an engine.
type sectionKey struct {
	backend string
	text    engine.JSON
}

// keyOf returns what distinguishes the estimates of experiments. Without earlier runs nothing else of a section
// matters.
func (e *Estimator) keyOf(x study.Experiment) estimated {
	exact := ""
	if len(e.earlier) > 0 {
		exact = string(x.Section)
	}
	w, work := x.Workload, e.work(x)
	return estimated{exact: exact, model: x.Model, backend: x.Backend, dtype: x.DType, dataset: w.Dataset,
		prompts: work.Prompts, input: work.Input, output: work.Output,
		batch: x.BatchSize(), warmup: x.Warmup.Runs, idle: x.Baseline.Seconds, resident: x.Baseline.ResidentSeconds,
		minWindow: x.Energy.MinWindow, maxWindow: maxWindow(x), shapes: shapeSeconds(x.Warmup), section: e.sectionOf(x),
		load: fmt.Sprint(e.arrivals(x)), concurrency: w.Concurrency}
}

// shapeSeconds returns the maximum time in which the warm-up runs the shapes of the workload; 0 if it does not.
func shapeSeconds(w study.Warmup) float64 {
	if w.Runs == 0 || w.Cover == terms.CoverSizes {
		return 0
	}
	return cmp.Or(w.MaxSeconds, terms.WarmupSeconds)
}

// maxWindow returns the length in seconds to which windows may be lengthened for the split by phase.
func maxWindow(x study.Experiment) float64 {
	if x.Energy.Sources == "none" {
		return 0
	}
	return x.Energy.MaxWindow
}

// NewEstimator returns an estimator for the named GPU, or the first one that the meters see.
func NewEstimator(named string, facts map[string]sensor.GPUFacts, snapshot *host.Snapshot) (*Estimator, error) {
	e := &Estimator{configs: map[string]shape.Config{}, errs: map[string]error{}, known: map[estimated]*Need{},
		sections: map[sectionKey]section{}, found: map[string]*engine.Descriptor{},
		keys: map[string]needKeys{}, files: &extent.Files{}}
	memory := digits.Bytes(0)
	if m := snapshot.Memory.RAMTotalBytes; m != nil {
		memory = digits.Bytes(*m)
	}
	e.cpu = estimate.Processor(runtime.NumCPU(), memory)
	if named != "" {
		d, err := estimate.Lookup(named)
		if err != nil {
			return nil, &GPUError{err}
		}
		e.gpu, e.card, e.free = &d, &d, d.Memory
		return e, nil
	}
	e.gpus = len(facts)
	for i := range len(facts) {
		f, ok := facts["gpu"+strconv.Itoa(i)]
		if !ok || f.Name == nil {
			continue
		}
		if e.card == nil && f.ComputeCapability != nil {
			e.card = &estimate.Device{Name: *f.Name, Capability: *f.ComputeCapability}
		}
		d, err := estimate.Lookup(*f.Name)
		if err != nil {
			continue // a card that is not in the catalogue
		}
		if f.MemoryTotalBytes != nil {
			limit := unit.Watts(0)
			if f.PowerLimitW != nil {
				limit = unit.Watts(*f.PowerLimitW)
			}
			d = d.With(digits.Bytes(*f.MemoryTotalBytes), limit)
		}
		e.gpu, e.free = &d, d.Memory
		if f.MemoryUsedBytes != nil {
			e.free -= digits.Bytes(*f.MemoryUsedBytes)
		}
		break
	}
	return e, nil
}

// Name returns the name of the device that estimates are for.
func (e *Estimator) Name() string {
	if e.gpu != nil {
		return e.gpu.Name
	}
	return e.cpu.Name
}

// Know sets the architecture of a model that is not on this machine.
func (e *Estimator) Know(name string, c shape.Config) { e.configs[name], e.errs[name] = c, nil }

// config returns the configuration of a model, read once.
func (e *Estimator) config(name string) (shape.Config, error) {
	if _, seen := e.configs[name]; !seen {
		e.configs[name], e.errs[name] = model.Describe(name)
	}
	return e.configs[name], e.errs[name]
}

// mostEstimates bounds the different points that are estimated.
const mostEstimates = 2000

// Sample returns 0 if all experiments can be estimated, and otherwise how many of them should be.
func (e *Estimator) Sample(all []study.Experiment) int {
	different := map[estimated]bool{}
	for i := range all {
		if different[e.keyOf(all[i])] = true; len(different) > mostEstimates {
			return mostEstimates
		}
	}
	return 0
}

// Need estimates one experiment, or returns the reason why not.
func (e *Estimator) Need(x study.Experiment) (*Need, string) {
	key := e.keyOf(x)
	switch sec := key.section; {
	case sec.simulated:
		return nil, "the " + x.Backend + " engine computes nothing"
	case sec.Unknown != "":
		return nil, "no estimate supports " + sec.Unknown + " of " + sec.title
	}
	if n := e.known[key]; n != nil {
		return n, ""
	}
	config, err := e.config(x.Model)
	if err != nil {
		return nil, err.Error()
	}
	config, reason := key.section.quantised(config, x)
	if reason != "" {
		return nil, reason
	}
	if _, known := config.StoredBytes(); config.Stored.Quant != nil && !known {
		return nil, "how many bits the quantisation " + config.Stored.Format + " of " + x.Model + " keeps is unknown"
	}
	s, free, remark := e.setup(x, config, key.section)
	s.Exact = key.exact
	if s.Device.Name == "" {
		return nil, "no GPU of the catalogue is here: select one with --gpu, such as --gpu h200"
	}
	p, err := estimate.Estimate(s, e.earlier)
	if err != nil {
		return nil, err.Error()
	}
	copies := max(1, key.section.Copies)
	out := &Need{Bytes: int64(p.Memory.Total), DeviceBytes: int64(p.Memory.Device), Parts: p.Memory.Parts(),
		Seconds: p.Seconds, StartSeconds: p.Fixed.Baseline +
			p.Fixed.Start, Joules: p.Energy.Joules() * float64(copies), Basis: p.Basis,
		Device: s.Device.Name, Devices: max(1, s.Parallel) * max(1, s.Stages) * copies, Warnings: p.Warnings}
	out.Needed = int64(p.Memory.Needed())
	out.describe(s, p, copies)
	if remark != "" {
		out.Warnings = append(out.Warnings, remark)
	}
	if config.Outside != "" {
		out.Warnings = append(out.Warnings, config.Outside)
	}
	out.load(x.Workload, p.Served)
	out.SecondsRange, out.JoulesRange = ranges(p, float64(copies))
	e.fit(out, s, free)
	e.known[key] = out
	return out, ""
}

// Longest returns the approximate maximum duration of a run, including everything but a download of its model; 0
// if it cannot be estimated.
func (e *Estimator) Longest(x study.Experiment) time.Duration {
	n, _ := e.Need(x)
	if n == nil {
		return 0
	}
	return digits.Duration(n.SecondsRange[1])
}

// Duration returns a rough interval of the time that all runs of a study take; zero if it cannot be estimated.
func (e *Estimator) Duration(s *study.Study) (span [2]time.Duration) {
	p := New(Options{Study: s, Limit: 1, Estimate: e.Need, Sample: e.Sample(s.Experiments), Files: e.files})
	if p.Totals != nil {
		for i, seconds := range p.Totals.SecondsRange {
			span[i] = digits.Duration(seconds)
		}
	}
	return span
}

// For returns an estimator of a study's runs on this machine.
func For(s *study.Study, meters []power.Meter, snapshot *host.Snapshot, files *extent.Files) (*Estimator, error) {
	e, err := NewEstimator("", machine.Facts(meters), snapshot)
	if err == nil {
		e.engines, e.files = s.Engines, files
	}
	return e, err
}

// describe fills in the description of the model.
func (n *Need) describe(s estimate.Setup, p estimate.Prediction, copies int) {
	count := s.Model.Parameters()
	n.Parameters, n.ActiveParameters, n.VisionParameters = count.Total, count.Active, count.Vision
	if s.Model.Count(shape.Head) > 0 {
		n.lookup = s.Model.Count(shape.Embedding)
	}
	n.Counted, n.Stored = s.Model.Counted(), s.Model.Stored.Words()
	f := s.Model.FLOPs([]shape.Length{{Prompt: s.Work.Input, Output: s.Work.Output}})
	times := float64(s.Work.Prompts * copies)
	n.FLOPsPrefill, n.FLOPsDecode = f.Prefill*times, f.Decode*times
	n.WeightBytes, n.CacheBytes = int64(p.Memory.Weights), int64(p.Memory.KVCache)
}

// ranges returns rough intervals of a whole run. The start of an engine and its warm-up are known no better than
// the window, and if the window is known from earlier runs, less well. The window may be lengthened for the split
// by phase.
func ranges(p estimate.Prediction, copies float64) (seconds, joules [2]float64) {
	idle := p.Fixed.Baseline + p.Fixed.Resident
	busy := p.Fixed.Seconds() - idle
	for i, q := range []struct{ factor, seconds, joules float64 }{
		{min(fixedRange.Low, p.SecondsRange.Low/p.Window.Seconds), p.SecondsRange.Low, p.JoulesRange.Low},
		{max(fixedRange.High, p.SecondsRange.High/p.Window.Seconds), p.SecondsRange.High, p.JoulesRange.High},
	} {
		seconds[i] = idle + busy*q.factor + q.seconds
		joules[i] = copies * (p.Fixed.Energy.Joules()*q.factor + q.joules)
	}
	seconds[1] += p.Longer.Seconds
	joules[1] += copies * p.Longer.Energy.Joules()
	return seconds, joules
}

// fixedRange is the best accuracy of the modelled start time of an engine: 13 s are modelled for 16 GB of weights,
// 12 to 21 s were measured.
var fixedRange = estimate.Range{Low: 0.7, High: 1.7}

// setup returns the input of an experiment's estimate, and the free memory for it. The device has no name if the
// engine needs a GPU and none is known.
func (e *Estimator) setup(x study.Experiment, config shape.Config, sec section) (s estimate.Setup, free digits.Bytes,
	remark string) {
	format, remark := formatOf(x, sec, config.Stored)
	w := x.Workload
	s = estimate.Setup{Model: config, Backend: x.Backend, Profile: sec.profile, Device: e.cpu, Format: format,
		Attention: sec.Attention,
		Parallel:  sec.Parallel, Stages: sec.Stages, Pool: sec.Pool, PoolCache: digits.Bytes(sec.PoolCache),
		CacheBits: sec.CacheBits, CacheTokens: sec.CacheTokens, Chunk: sec.Chunk,
		Work: e.work(x),
		Around: estimate.Around{BaselineSeconds: x.Baseline.Seconds, ResidentSeconds: x.Baseline.ResidentSeconds,
			WarmupRuns: x.Warmup.Runs, WarmupSeconds: shapeSeconds(x.Warmup), MinWindow: x.Energy.MinWindow,
			MaxWindow: maxWindow(x)}}
	s.Arrivals = e.arrivals(x)
	s.Work.Batch = sec.steps
	if w.Concurrency > 0 { // fewer are in flight than the engine would batch
		s.Work.Batch = min(sec.steps, w.Concurrency)
	}
	s.Stored, _ = config.StoredBytes()
	s.LoadsWhole = sec.Weights.Format != ""
	if n := sec.Copies; n > 1 { // each copy takes its part of the prompts
		s.Work.Prompts = (s.Work.Prompts + n - 1) / n
	}
	free = e.cpu.Memory
	switch {
	case !sec.gpu:
	case e.gpu != nil:
		s.Device, free = *e.gpu, e.free
	case !sec.hostToo:
		s.Device = estimate.Device{}
	}
	if s.Device.Host && x.Warmup.MaxSeconds == 0 && s.Around.WarmupSeconds > 0 {
		s.Around.WarmupSeconds = terms.HostWarmupSeconds
	}
	return s, free, remark
}

// fit reports whether it fits on the available devices.
func (e *Estimator) fit(out *Need, s estimate.Setup, free digits.Bytes) {
	if s.Device.Host && free <= 0 {
		out.Fits, out.Unknown = true, true
		out.Warnings = append(out.Warnings, "the memory of this host is unknown")
		return
	}
	keys := e.keysOf(s.Backend)
	s.Keys = keys.Keys
	fit := s.Fits(free)
	out.Fits, out.Tight, out.Batch, out.Why = fit.OK, fit.Tight, fit.Batch, fit.Reason
	out.Next = fit.Next
	if n := out.Devices; e.gpus > 0 && n > e.gpus && !s.Device.Host {
		out.Fits, out.Why = false, fmt.Sprintf("needs %d GPUs, but this machine has %d", n, e.gpus)
		out.Next = "lower " + strings.Join(keys.spread, " or ") + ", or use another machine"
	}
	if out.Fits {
		out.Why, out.Next = "", ""
	}
}

// Objections are problems of experiments with the GPU that they are planned for: formats it does not compute in.
func (e *Estimator) Objections(all []study.Experiment) []Problem {
	if e.card == nil {
		return nil
	}
	var out []Problem
	seen := map[estimate.Choice]bool{}
	for i := range all {
		if !e.sectionOf(all[i]).gpu {
			continue
		}
		choice := e.choiceOf(all[i])
		if seen[choice] {
			continue
		}
		seen[choice] = true
		for _, o := range e.card.Objections(choice) {
			out = append(out, Problem{Finding{Error: o.Refused, Note: o.Note, Short: "device"},
				func(x study.Experiment) bool { return e.sectionOf(x).gpu && e.choiceOf(x) == choice }})
		}
	}
	return out
}

// withoutGPU warns that a plan for a GPU is for the processor where engines compute on that.
func (e *Estimator) withoutGPU(named string, s *study.Study) []Problem {
	var names []string
	for i := range s.Experiments {
		name := s.Experiments[i].Backend
		if sec := e.sectionOf(s.Experiments[i]); !sec.gpu && !sec.simulated && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Problem{{Finding: Finding{Note: note.Note{Code: codes.DeviceIgnored,
		Message: fmt.Sprintf("--gpu %s has no effect on %s: it runs on the processor, and the plan is for the "+
			"processor of this machine", named, strings.Join(names, " and ")),
		Next: "plan for a backend that uses a GPU, such as --backend vllm, or leave --gpu out"}}}}
}

// GPUError reports that a GPU is not in the catalogue.
type GPUError struct{ err error }

// Error names the GPU.
func (e *GPUError) Error() string { return fmt.Sprintf("--gpu: %v", e.err) }

// NextStep returns the next step.
func (e *GPUError) NextStep() string { return "leave --gpu out to use this machine's GPU" }
