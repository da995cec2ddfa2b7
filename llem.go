package llem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/embedded"
	"github.com/llenergymeasure/llem/engine/fake"
	"github.com/llenergymeasure/llem/engine/llamacpp"
	"github.com/llenergymeasure/llem/engine/pytorch"
	"github.com/llenergymeasure/llem/engine/sglang"
	"github.com/llenergymeasure/llem/engine/tensorrt"
	"github.com/llenergymeasure/llem/engine/vllm"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Options of a study's run. The zero value measures with the sensors of this
// machine and writes to ./results.
type Options struct {
	// Results is the folder below which each study gets its own.
	Results string
	// Python is the interpreter for Python engines; empty looks for one.
	Python string
	// Estimate allows a modelled CPU power where no CPU sensor can be read. Such
	// results are labelled.
	Estimate bool
	// Timeout bounds one run; 0 is no bound.
	Timeout time.Duration
	// FailFast ends the study with the first run that fails.
	FailFast bool
	// Resume is the folder of a study to go on with, as [Unfinished] finds it: runs
	// that it holds are not made again, unless they failed and RetryFailed is set.
	Resume      string
	RetryFailed bool
	// NoGaps leaves the pauses between runs out.
	NoGaps bool
	// Observe receives what happens; it must return quickly and is called from
	// several goroutines.
	Observe func(event.Event)
}

// Load reads a study file, or makes a study of settings alone.
func Load(o study.Options) (*study.Study, error) { return study.Load(o) }

// PlannedRun is one run that a study will make.
type PlannedRun = campaign.Planned

// Plan lists the runs of a study in the order in which Run makes them.
func Plan(s *study.Study) []PlannedRun { return campaign.Order(s) }

// Run makes all runs of the study. A run that fails is part of the result; the
// error is that of the context, of writing, or of a study that cannot start.
func Run(ctx context.Context, s *study.Study, o Options) (*result.StudyResult, error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	backends := Backends(o.Python)
	if err := errors.Join(available(s, backends), campaign.Preflight(s)); err != nil {
		return nil, err
	}
	cache, err := model.DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	if o.Results == "" {
		o.Results = "results"
	}
	var meters []power.Meter
	var missing []power.Unavailable
	switch {
	case simulated(s):
		gpu, end, err := simulate(ctx)
		if err != nil {
			return nil, err
		}
		defer end()
		meters, missing, backends[fake.Name] = gpu.meters, gpu.missing, fake.Backend{Simulation: gpu.path}
	case wantsPower(s):
		meters, missing = openMeters(ctx, o.Estimate, remotes(s))
	}
	defer func() {
		for _, m := range meters {
			m.Close()
		}
	}()
	// A simulated GPU behind the real sensor code is locked like a real one.
	if wantsGPU(s) || simulated(s) {
		release, err := campaign.LockGPUs(campaign.LockDir(), meters)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	if o.Timeout == 0 {
		o.Timeout = time.Duration(s.Execution.RunTimeout)
	}
	snapshot, err := Snapshot(ctx, meters)
	if err != nil {
		return nil, err
	}
	for _, w := range host.Warnings(snapshot) {
		o.observe(event.Note(w))
	}
	known, selfTest := profiles(meters, cache)
	return campaign.Run(ctx, campaign.Options{
		Study: s, Backends: backends, Meters: meters, Missing: missing,
		Store: model.Store{Dir: cache}, Results: o.Results, Snapshot: snapshot,
		Baselines: &measure.Baselines{Path: baselinesFile(cache)}, Profiles: known, SelfTest: selfTest,
		Timeout: o.Timeout, FailFast: o.FailFast, Emit: o.observe,
		Resume: o.Resume, RetryFailed: o.RetryFailed, NoGaps: o.NoGaps,
	})
}

func (o Options) observe(e event.Event) {
	if o.Observe != nil {
		o.Observe(e)
	}
}

// wantsGPU says whether any experiment may run on a GPU: the embedded engine does not,
// nor does PyTorch on a CPU.
func wantsGPU(s *study.Study) bool {
	return slices.ContainsFunc(s.Experiments, func(e study.Experiment) bool {
		switch e.Backend {
		case study.Embedded, study.Fake:
			return false
		case study.PyTorch:
			return e.PyTorch.Device != "cpu"
		case study.LlamaCpp:
			return e.LlamaCpp.GPULayers != "0"
		}
		return true
	})
}

// available refuses backends that the grammar knows and this program does not have.
func available(s *study.Study, backends map[string]backend.Backend) error {
	var errs study.Errors
	seen := map[string]bool{}
	for _, e := range s.Experiments {
		if _, ok := backends[e.Backend]; !ok && !seen[e.Backend] {
			seen[e.Backend] = true
			errs = append(errs,
				study.Wrong("backend", fmt.Sprintf("this llem cannot run the backend %s yet", e.Backend),
					"it can run "+strings.Join(slices.Sorted(maps.Keys(backends)), ", ")))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// wantsPower says whether any experiment measures energy.
func wantsPower(s *study.Study) bool {
	for _, e := range s.Experiments {
		if e.Energy.Sources != "none" {
			return true
		}
	}
	return false
}

// simulated says whether all experiments run on a GPU that does not exist.
func simulated(s *study.Study) bool {
	for _, e := range s.Experiments {
		if e.Backend != study.Fake {
			return false
		}
	}
	return len(s.Experiments) > 0
}

// simulation is a GPU that does not exist: its shared file and its meters.
type simulation struct {
	path    string
	meters  []power.Meter
	missing []power.Unavailable
}

// simulate makes a GPU for the fake backend. Tests of the real sensor code bring
// their own in LLEM_SIM, with a library to read it through in LLEM_NVML_LIBRARY.
// The meters are closed by the caller, before end.
func simulate(ctx context.Context) (s simulation, end func(), err error) {
	if path := os.Getenv(sim.Env); path != "" && os.Getenv(nvmlLibrary) != "" {
		s.path = path
		s.meters, s.missing = OpenMeters(ctx, false)
		return s, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "llem-simulation-")
	if err != nil {
		return s, nil, fmt.Errorf("make a folder for the simulated GPU: %w", err)
	}
	end = func() { os.RemoveAll(dir) }
	s.path = filepath.Join(dir, "gpu")
	f, err := fake.NewGPU(s.path)
	if err != nil {
		end()
		return s, nil, err
	}
	s.meters = []power.Meter{sim.NewMeter(f)}
	return s, end, nil
}

// Open reads the result of a study from its folder.
func Open(dir string) (*result.StudyResult, error) {
	s, err := result.ReadStudy(dir)
	if err == nil && s.Stale() {
		// Its means hold runs that are not comparable; those of the runs themselves do not.
		if rebuilt, rebuildErr := rebuild(dir); rebuildErr == nil {
			rebuilt.Finished, rebuilt.Ended = s.Finished, s.Ended
			return rebuilt, nil
		}
		return nil, fmt.Errorf(
			"the summary of %s was made by an earlier llem, whose means hold runs that did other work than they "+
				"were asked for, and it cannot be made again from %s", dir, filepath.Join(dir, result.RunsDir))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	// What is there says what is wrong.
	if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: there is no folder %s", err, dir)
	}
	if rebuilt, rebuildErr := rebuild(dir); rebuildErr == nil {
		return rebuilt, nil
	}
	if _, statErr := os.Stat(filepath.Join(dir, result.JournalFile)); statErr == nil {
		return nil, fmt.Errorf("%w: the study is still running or was killed; finished runs lie in %s", err,
			filepath.Join(dir, result.RunsDir))
	}
	if inside, _ := filepath.Glob(filepath.Join(dir, "*", result.SummaryFile)); len(inside) > 0 {
		return nil, fmt.Errorf("%w: this folder holds studies; give one of them, such as %s", err,
			filepath.Dir(inside[len(inside)-1]))
	}
	return nil, fmt.Errorf("%w: this is not the folder of a study", err)
}

// rebuild makes the result of a study that was killed before its summary was
// written, from its finished runs.
func rebuild(dir string) (*result.StudyResult, error) {
	path := filepath.Join(dir, result.StudyFile)
	s, err := study.ReadFrozen(path)
	if err != nil { // of another version, perhaps: its plan does
		s, err = study.ReadPlan(path)
	}
	if err != nil {
		return nil, err
	}
	r, err := result.NewStudyResult(dir, s, time.Now())
	if err == nil && len(r.Rows) == 0 {
		return nil, errors.New("no run has finished")
	}
	return r, err
}

// Backends are the engines of this program by name. Engines that cannot share an
// environment get one of their own from LLEM_PYTHON_PYTORCH, LLEM_PYTHON_VLLM,
// LLEM_PYTHON_SGLANG and LLEM_PYTHON_TENSORRT; others use python. LLEM_LLAMA_SERVER is
// the path of llama.cpp's server.
func Backends(python string) map[string]backend.Backend {
	own := func(name string) string {
		return cmp.Or(os.Getenv("LLEM_PYTHON_"+strings.ToUpper(name)), python)
	}
	return map[string]backend.Backend{
		embedded.Name: embedded.Backend{},
		fake.Name:     fake.Backend{},
		llamacpp.Name: llamacpp.New(os.Getenv("LLEM_LLAMA_SERVER")),
		pytorch.Name:  pytorch.Backend{Python: own(pytorch.Name)},
		sglang.Name:   sglang.New(own(sglang.Name)),
		tensorrt.Name: tensorrt.New(own(tensorrt.Name)),
		vllm.Name:     vllm.New(own(vllm.Name)),
	}
}

// nvmlLibrary names another libnvidia-ml.so.1 than the system's, for tests.
const nvmlLibrary = "LLEM_NVML_LIBRARY"

// OpenMeters opens every power sensor of this machine that can be read, and says
// why the others cannot. The caller closes the meters.
func OpenMeters(ctx context.Context, estimate bool) ([]power.Meter, []power.Unavailable) {
	return openMeters(ctx, estimate, nil)
}

// remotes are the remote sources that the study names, each once.
func remotes(s *study.Study) []string {
	var all []string
	for _, e := range s.Experiments {
		if r := e.Energy.Remote; r != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

func openMeters(ctx context.Context, estimate bool, remote []string) ([]power.Meter, []power.Unavailable) {
	o := sensors.Options{Estimate: estimate, Remote: remote, DeviceOrder: os.Getenv("CUDA_DEVICE_ORDER"),
		Library: os.Getenv(nvmlLibrary)}
	if v, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		o.VisibleDevices = &v
	}
	return sensors.Open(ctx, o)
}

// Snapshot describes this machine, with the GPUs that the meters see.
func Snapshot(ctx context.Context, meters []power.Meter) (*host.Snapshot, error) {
	gpus := []host.GPU{}
	for _, m := range meters {
		if nvml, ok := m.(interface{ Facts() []power.GPUFacts }); ok {
			for _, f := range nvml.Facts() {
				gpus = append(gpus, gpuOf(f))
			}
		}
	}
	s, err := host.Collect(ctx, host.Options{GPUs: gpus, Env: os.Getenv})
	if err != nil {
		return nil, fmt.Errorf("describe this machine: %w", err)
	}
	return s, nil
}

// WorkerMain runs an engine and exits if this process was started as a worker;
// otherwise it returns at once. Call it first thing in main: a program that does
// not would become its own engine, which [Run], [DryRun] and [Doctor] refuse.
func WorkerMain() {
	if len(os.Args) < 3 || os.Args[1] != "worker" {
		return
	}
	var err error
	switch os.Args[2] {
	case embedded.Name:
		err = embedded.WorkerMain()
	case fake.Name:
		err = fake.WorkerMain(os.Getenv(sim.Env))
	default:
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s worker: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
	os.Exit(0)
}
