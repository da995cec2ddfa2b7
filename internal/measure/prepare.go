package measure

import (
	"cmp"
	"context"
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/study"
)

// input is the model in the engine's format, and the prompts.
type input struct {
	experiment study.Experiment
	engine     engine.Descriptor
	model      model.Resolved
	// prompts is empty if they are made of token ids.
	prompts []workload.Prompt
	// trace has the recorded requests; nil for other loads.
	trace *trace.Trace
}

// prepare resolves the model and reads the data set, before anything is started.
func (d *desk) prepare(ctx context.Context) (input, error) {
	in := input{experiment: d.Experiment, engine: d.Engine}
	d.phase(event.Prepare, d.Experiment.Model)
	if _, err := ContainerOf(d.Engine, d.Experiment); err != nil {
		return in, err
	}
	if err := d.readPrompts(&in); err != nil {
		return in, err
	}
	format := model.FormatHF
	if in.takesGGUF() {
		format = model.FormatGGUF
	}
	var err error
	in.model, err = d.Store.Resolve(ctx, model.Request{
		Model: d.Experiment.Model, Format: format, DType: d.Experiment.DType, Seed: d.Experiment.Seed,
		Progress: func(done, total int64) {
			if total > 0 {
				d.emit(event.Progress{Phase: event.Prepare, Fraction: float64(done) / float64(total),
					Detail: digits.Bytes(done).String() + " of " + digits.Bytes(total).String()})
			}
		},
	})
	if err != nil {
		return in, err
	}
	d.record.Synthetic = in.model.Synthetic
	if in.model.Synthetic {
		d.record.Warn(codes.Synthetic,
			"random weights: the arithmetic and its energy depend on the shape, not on a trained model")
	}
	if d.Experiment.Workload.ChatTemplate == terms.TemplateModel {
		if err := model.CheckTemplate(d.Experiment.Model, in.model.Path); err != nil {
			return in, err
		}
	}
	if err := in.checkContext(); err != nil {
		return in, err
	}
	return in, in.checkDType()
}

// readPrompts reads the prompts of a data set.
func (d *desk) readPrompts(in *input) error {
	w := d.Experiment.Workload
	if w.Load.Kind == load.Trace {
		return d.readTrace(in)
	}
	if w.Dataset == workload.SyntheticSource {
		return nil
	}
	set, err := workload.LoadFor(w.Dataset, w.Load.Turns)
	if err != nil {
		return err
	}
	if in.prompts, err = set.Take(w.Prompts, w.Load.Turns, d.Experiment.Seed); err != nil {
		return err
	}
	for _, n := range set.Notes() {
		d.record.Warnings = append(d.record.Warnings, n)
		d.show(n.Code, n.Message)
	}
	return nil
}

// takesGGUF reports whether the engine reads a .gguf file, which determines the type of the weights.
func (in input) takesGGUF() bool {
	_, isFile := model.FileOf(in.experiment.Model)
	return about.TakesGGUF(&in.engine, isFile)
}

// checkDType returns an error for a dtype that an existing GGUF file does not have.
func (in input) checkDType() error {
	if !in.takesGGUF() || in.experiment.DType == terms.DTypeAuto {
		return nil
	}
	return model.CheckDType(in.experiment.Model, in.experiment.DType, in.model.DType)
}

// dtype returns the requested number format.
func (in input) dtype() string {
	switch {
	case in.experiment.DType != terms.DTypeAuto:
		return in.experiment.DType
	case in.takesGGUF() && in.model.DType != "":
		return string(in.model.DType)
	case in.takesGGUF():
		return "mixed"
	case in.engine.ChoosesDType:
		return terms.DTypeAuto
	}
	return about.DType(&in.engine)
}

// requests returns the prompts as given to the engine, and reports what a chat template adds.
func (d *desk) requests(ctx context.Context, in input, session backend.Session) ([]workload.Request, error) {
	if d.Experiment.Workload.ChatTemplate != terms.TemplateModel || in.trace != nil {
		return in.shape(ctx, session)
	}
	t, ok := session.(chat.Templater)
	if !ok {
		return nil, chat.Unable(in.engine.Name)
	}
	out, err := workload.Template(in.prompts, d.Experiment.Workload.InputTokens,
		func(all []chat.Conversation) ([][]int32, error) { return t.Template(ctx, all) })
	if err != nil {
		return nil, err
	}
	return out.Requests, d.tellTemplate(ctx, session, out)
}

// tellTemplate reports what the chat template has added to the texts.
func (d *desk) tellTemplate(ctx context.Context, session backend.Session, out workload.Templated) error {
	var texts []string
	for _, c := range out.Conversations {
		for _, m := range c {
			texts = append(texts, m.Content)
		}
	}
	ids, err := session.Tokenize(ctx, texts)
	if err != nil {
		return err
	}
	total, plain := 0, 0
	for _, q := range out.Requests {
		total += len(q.Tokens)
	}
	for _, text := range ids {
		plain += len(text)
	}
	told := fmt.Sprintf("%d of the %d prompt tokens of the workload come from the model's chat template",
		total-plain, total)
	if out.Shortened > 0 {
		told += fmt.Sprintf("; the text of %s was shortened to make it %d tokens with the template",
			digits.Count(out.Shortened, "prompt"), d.Experiment.Workload.InputTokens)
	}
	d.warn(codes.ChatTemplate, told)
	return nil
}

// shape converts prompts to token ids of exact length, with the prefix that they share.
func (in input) shape(ctx context.Context, session backend.Session) ([]workload.Request, error) {
	requests, err := in.ids(ctx, session)
	if a := in.experiment.Workload.Load; err == nil {
		requests = workload.Share(requests, a.SharedPrefix, a.Turns)
		workload.Converse(requests, a.Turns, a.ThinkS, cmp.Or(a.Seed, in.experiment.Seed))
	}
	return requests, err
}

// ids converts prompts to token ids of exact length.
func (in input) ids(ctx context.Context, session backend.Session) ([]workload.Request, error) {
	w := in.experiment.Workload
	switch {
	case in.trace != nil:
		return workload.Recorded(in.trace, in.vocab(session), in.experiment.Seed), nil
	case w.Dataset == workload.SyntheticSource:
		return workload.Synthetic(w.Distinct(), w.InputTokens, in.vocab(session), in.experiment.Seed)
	}
	texts := make([]string, len(in.prompts))
	for i, p := range in.prompts {
		texts[i] = p.Text
	}
	ids, err := session.Tokenize(ctx, texts)
	if err != nil {
		return nil, err
	}
	return workload.Truncate(in.prompts, ids, w.InputTokens)
}

// vocab returns the token ids that prompts are made of.
func (in input) vocab(session backend.Session) workload.Vocab {
	if in.model.Synthetic {
		return workload.Vocab{Size: byteVocab}
	}
	return workload.Vocab{Size: session.Loaded().TextVocab}
}

// byteVocab is the ordinary part of a random model's vocabulary: one id per byte.
const byteVocab = 256
