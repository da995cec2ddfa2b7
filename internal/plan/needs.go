package plan

import (
	"fmt"
	"runtime"
	"strconv"

	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// Estimator says what experiments will need on this machine, or on a GPU of the
// catalogue.
type Estimator struct {
	gpu     *estimate.Device // nil without one
	free    unit.Bytes       // of the GPU
	cpu     estimate.Device
	configs map[string]model.Config
	errs    map[string]error
	earlier []estimate.Run
	// known are estimates that were made: points that differ in a seed have one.
	known map[estimated]*Need
}

// estimated is all of an experiment that an estimate looks at.
type estimated struct {
	model, backend, dtype, attention, device string
	workload                                 study.Workload
	batch, warmup                            int
	baseline                                 study.Baseline
	minWindow                                float64
}

// NewEstimator takes the GPU that is named, or the first that the meters see.
func NewEstimator(named string, facts map[string]power.GPUFacts, snapshot *host.Snapshot) (*Estimator, error) {
	e := &Estimator{configs: map[string]model.Config{}, errs: map[string]error{}, known: map[estimated]*Need{}}
	memory := unit.Bytes(0)
	if m := snapshot.Memory.RAMTotalBytes; m != nil {
		memory = unit.Bytes(*m)
	}
	e.cpu = estimate.Processor(runtime.NumCPU(), memory)
	if named != "" {
		d, err := estimate.Lookup(named)
		if err != nil {
			return nil, &GPUError{err}
		}
		e.gpu, e.free = &d, d.Memory
		return e, nil
	}
	for i := range len(facts) {
		f, ok := facts["gpu"+strconv.Itoa(i)]
		if !ok || f.Name == nil {
			continue
		}
		d, err := estimate.Lookup(*f.Name)
		if err != nil {
			continue // a card that the catalogue does not have
		}
		if f.MemoryTotalBytes != nil {
			limit := unit.Watts(0)
			if f.PowerLimitW != nil {
				limit = unit.Watts(*f.PowerLimitW)
			}
			d = d.With(unit.Bytes(*f.MemoryTotalBytes), limit)
		}
		e.gpu, e.free = &d, d.Memory
		if f.MemoryUsedBytes != nil {
			e.free -= unit.Bytes(*f.MemoryUsedBytes)
		}
		break
	}
	return e, nil
}

// Name of what is estimated for.
func (e *Estimator) Name() string {
	if e.gpu != nil {
		return e.gpu.Name
	}
	return e.cpu.Name
}

// config of a model, read once.
func (e *Estimator) config(name string) (model.Config, error) {
	if _, seen := e.configs[name]; !seen {
		e.configs[name], e.errs[name] = model.Describe(name)
	}
	return e.configs[name], e.errs[name]
}

// Limits of what a plan computes: different points that are estimated, and points of
// which it is said what would make them fit.
const (
	mostEstimates = 2000
	mostSearches  = 100
)

// Need estimates one experiment, or says why not.
func (e *Estimator) Need(x study.Experiment) (*Need, string) {
	if x.Backend == study.Fake {
		return nil, "the fake engine computes nothing"
	}
	config, err := e.config(x.Model)
	if err != nil {
		return nil, err.Error()
	}
	key := estimated{model: x.Model, backend: x.Backend, dtype: x.DType, workload: x.Workload, batch: x.BatchSize(), warmup: x.Warmup.Runs,
		baseline: x.Baseline, minWindow: x.Energy.MinWindow}
	if p := x.PyTorch; p != nil {
		key.attention, key.device = p.AttnImplementation, p.Device
	}
	if n := e.known[key]; n != nil {
		return n, ""
	}
	if len(e.known) >= mostEstimates {
		return nil, fmt.Sprintf("the first %d different points are estimated only", mostEstimates)
	}
	s := estimate.Setup{Model: config, Backend: x.Backend, Device: e.cpu, Format: formatOf(x),
		Work: estimate.Work{Prompts: x.Workload.Prompts, Batch: max(1, x.BatchSize()), Input: x.Workload.InputTokens, Output: x.Workload.OutputTokens,
			Padded: x.Workload.Dataset != "synthetic"},
		Around: estimate.Around{BaselineSeconds: x.Baseline.Seconds, ResidentSeconds: x.Baseline.ResidentSeconds, WarmupRuns: x.Warmup.Runs, MinWindow: x.Energy.MinWindow}}
	free := e.cpu.Memory
	onGPU := x.Backend != study.Embedded
	if p := x.PyTorch; p != nil {
		s.Attention = p.AttnImplementation
		onGPU = p.Device != "cpu"
	}
	if onGPU && e.gpu != nil {
		s.Device, free = *e.gpu, e.free
	} else if onGPU && x.Backend != study.PyTorch {
		return nil, "no GPU of the catalogue is here: name one with --gpu, such as --gpu h200"
	}
	p, err := estimate.Estimate(s, e.earlier)
	if err != nil {
		return nil, err.Error()
	}
	out := &Need{Bytes: int64(p.Memory.Total), Parts: p.Memory.Parts(), Fits: p.Memory.Needed() <= free, Seconds: p.Seconds, Joules: p.Energy.Joules(), Basis: p.Basis}
	switch {
	case out.Fits:
	case len(e.known) < mostSearches:
		fit := s.Fits(free) // searches for the largest batch
		out.Fits, out.Why = fit.OK, fit.Reason
	default:
		out.Why = fmt.Sprintf("needs %s of %s on %s", p.Memory.Parts(), free, s.Device.Name)
	}
	if out.Fits {
		out.Why = ""
	}
	e.known[key] = out
	return out, ""
}

// formatOf is the format of the weights that a backend will use.
func formatOf(x study.Experiment) estimate.Format {
	if f, err := estimate.ParseFormat(x.DType); err == nil {
		return f
	}
	if x.Backend == study.Embedded {
		return estimate.FP16
	}
	return estimate.BF16
}

// GPUError says that a GPU is not in the catalogue.
type GPUError struct{ err error }

// Error names the GPU.
func (e *GPUError) Error() string { return fmt.Sprintf("--gpu: %v", e.err) }

// Hint says what to do.
func (e *GPUError) Hint() string { return "leave --gpu out to take the one that is here" }
