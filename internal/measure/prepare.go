package measure

import (
	"context"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// prepare resolves the model and reads the data set, before anything is started.
func (r *run) prepare(ctx context.Context) error {
	r.phase(event.Prepare, r.Experiment.Model)
	if _, err := ContainerOf(r.Experiment); err != nil {
		return err
	}
	if d := r.Experiment.Workload.Dataset; d != workload.SyntheticSource {
		set, err := workload.Load(d)
		if err != nil {
			return err
		}
		if r.prompts, err = set.Select(r.Experiment.Workload.Prompts); err != nil {
			return err
		}
		if w := set.Warning(); w != "" {
			r.warn(note.DatasetSkipped, w)
		}
	}
	format := model.FormatHF
	if r.takesGGUF() {
		format = model.FormatGGUF
	}
	resolved, err := r.Store.Resolve(ctx, model.Request{
		Model: r.Experiment.Model, Format: format, DType: r.Experiment.DType, Seed: r.Experiment.Seed,
		Progress: func(done, total int64) {
			if total > 0 {
				r.emit(event.Progress{Phase: event.Prepare, Fraction: float64(done) / float64(total),
					Detail: unit.Bytes(done).String() + " of " + unit.Bytes(total).String()})
			}
		},
	})
	if err != nil {
		return err
	}
	r.resolved = resolved
	r.record.Synthetic = resolved.Synthetic
	if resolved.Synthetic {
		r.record.Warn(note.Synthetic,
			"random weights: the arithmetic and its energy are those of the shape, not of a trained model")
	}
	return r.checkDType()
}

// takesGGUF says that the engine reads a .gguf file, which has its type of weights.
func (r *run) takesGGUF() bool {
	return r.Experiment.Backend == study.Embedded || r.Experiment.Backend == study.LlamaCpp
}

// checkDType refuses a dtype that a finished GGUF file does not have.
func (r *run) checkDType() error {
	want, have := r.Experiment.DType, string(r.resolved.DType)
	if !r.takesGGUF() || want == study.DTypeAuto || have == want {
		return nil
	}
	if have == "" {
		have = "a mixture of types"
	}
	return backend.Failf(backend.ClassUnsupportedDType, "leave dtype out (auto), or give a file with "+want+" weights",
		"%s holds %s weights, not %s", r.Experiment.Model, have, want)
}

// dtype is what the engine is asked for.
func (r *run) dtype() string {
	switch {
	case r.Experiment.DType != study.DTypeAuto:
		return r.Experiment.DType
	case r.takesGGUF() && r.resolved.DType != "":
		return string(r.resolved.DType)
	case r.takesGGUF():
		return "mixed"
	}
	return "bfloat16"
}

// start launches an engine and loads the model.
func (r *run) start(ctx context.Context) error {
	r.phase(event.Load, r.Experiment.Backend+" "+r.dtype())
	began := r.Clock.Mono()
	log, err := r.engineLog()
	if err != nil {
		return err
	}
	r.engine = &liveEngine{serves: r.Experiment, log: log, meters: r.Meters}
	spec := r.spec(log)
	if log == "" {
		spec.LogPath = r.LogPath
	}
	session, err := r.Backend.Start(ctx, spec)
	if err != nil {
		return err
	}
	r.engine.session, r.engine.runs = session, 1
	r.ready(began)
	return nil
}

// spec is what the engine is asked for.
func (r *run) spec(log string) backend.Spec {
	e := r.engineSettings()
	return backend.Spec{
		Model: e.Model, Path: r.resolved.Path, Synthetic: r.resolved.Synthetic, DType: r.dtype(), Seed: e.Seed,
		BatchSize: e.BatchSize(), MaxContext: e.Workload.InputTokens + e.Workload.OutputTokens,
		Decoding: backend.Decoding(e.Decoding), Options: e.Section(), LogPath: log, Container: r.container(),
		Progress: func(phase string, fraction float64) {
			r.emit(event.Progress{Phase: event.Load, Fraction: fraction, Detail: phase})
		},
	}
}

// ready records the engine as it runs.
func (r *run) ready(began int64) {
	r.loaded = r.engine.session.Loaded()
	r.record.Timing.LoadS = r.Clock.Since(began)
	code := note.Engine
	if r.Experiment.Backend == study.Fake {
		code = note.Simulated
	}
	for _, n := range r.loaded.Notes {
		r.record.Warn(code, n)
		if r.engine.runs == 1 { // it has been said when the engine was started
			r.show(code, n)
		}
	}
	r.describeBackend()
	recordImage(&r.record.Backend, r.loaded.Image)
}

// engineSettings is the experiment with what the study leaves open. A workload that
// may be repeated must not be put into larger batches than it fills once.
func (r *run) engineSettings() study.Experiment {
	e := r.Experiment
	size := e.BatchSize()
	if r.minWindow() > 0 {
		size = min(size, e.Workload.Prompts)
	}
	switch e.Backend {
	case study.Embedded:
		own := *e.Embedded
		own.BatchSize = size
		if own.Threads == 0 {
			own.Threads = r.Threads
		}
		e.Embedded = &own
	case study.PyTorch:
		own := *e.PyTorch
		own.BatchSize = size
		e.PyTorch = &own
	case study.Fake:
		own := *e.Fake
		own.BatchSize = size
		e.Fake = &own
	}
	return e
}

// shape turns prompts into token ids of exact length.
func (r *run) shape(ctx context.Context, session backend.Session) (err error) {
	w := r.Experiment.Workload
	if w.Dataset == workload.SyntheticSource {
		size := r.loaded.TextVocab
		if r.resolved.Synthetic {
			size = byteVocab
		}
		r.requests, err = workload.Synthetic(w.Prompts, w.InputTokens, workload.Vocab{Size: size}, r.Experiment.Seed)
	} else {
		texts := make([]string, len(r.prompts))
		for i, p := range r.prompts {
			texts[i] = p.Text
		}
		var ids [][]int32
		if ids, err = session.Tokenize(ctx, texts); err != nil {
			return err
		}
		r.requests, err = workload.Truncate(r.prompts, ids, w.InputTokens)
	}
	if err == nil {
		r.record.WorkloadHash = workload.Hash(r.requests)
	}
	return err
}

// byteVocab is the ordinary part of a random model's vocabulary: one id per byte.
const byteVocab = 256
