package study

import (
	"cmp"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// conflict returns values that do not fit together, or nil.
func (k *table) conflict(v keys.Values, e *Experiment) *engine.Conflict {
	if k.preset.Get(v).Text == presetGreedy && e.Decoding.Temperature > 0 {
		return engine.Conflictf("decoding.temperature", "leave one of them out",
			"decoding.preset greedy is temperature 0, but decoding.temperature is %g", e.Decoding.Temperature)
	}
	if c := k.templateConflict(e); c != nil {
		return c
	}
	if c := loadConflict(e); c != nil {
		return c
	}
	own := k.sections[e.Backend]
	if c := k.decodingConflict(own.descriptor, e); c != nil {
		return c
	}
	return about.Conflicts(own.descriptor, own.bound,
		engine.Job{DType: e.DType, Synthetic: e.Workload.Dataset == "synthetic",
			InputTokens: e.Workload.InputTokens, OutputTokens: e.Workload.OutputTokens, WarmupRuns: e.Warmup.Runs,
			Concurrency: e.Workload.Concurrency, Open: e.Workload.Load.Open(), Turns: e.Workload.Load.Turns,
			RepetitionPenalty: e.Decoding.RepetitionPenalty})
}

// decodingConflict returns a decoding setting that the engine does not have.
func (k *table) decodingConflict(d *engine.Descriptor, e *Experiment) *engine.Conflict {
	for _, f := range k.common {
		setting, ok := strings.CutPrefix(f.Key, grammar.DecodingPrefix)
		if !ok || f.Preset {
			continue
		}
		v := f.read(e)
		if _, has := d.Decoding[setting]; has || v.Number == 0 || v == k.Initial[f.Slot] {
			continue
		}
		next := "leave it out"
		if with := k.able.decoding[setting].with; with != "" {
			next += ", or use one of the backends " + with
		}
		return engine.Conflictf(f.Key, next, "%s is %s, but the %s backend does not have it: %s", f.Key,
			f.Kind.Format(v), d.Name, cmp.Or(d.Lacks[f.Key], "it always takes the most likely token"))
	}
	return nil
}

// templateConflict returns prompts that cannot be put into a chat template.
func (k *table) templateConflict(e *Experiment) *engine.Conflict {
	switch {
	case e.Workload.ChatTemplate == "":
		return nil
	case e.Workload.Dataset == "synthetic":
		return engine.Conflictf(terms.TemplateKey, "leave it out, or use a data set of texts, such as dataset: builtin",
			terms.TemplateKey+" is model, but dataset synthetic consists of token ids, not of texts")
	case strings.HasPrefix(canonicalModel(e.Model), "random:"):
		return engine.Conflictf(terms.TemplateKey, "leave it out, or name a trained model",
			terms.TemplateKey+" is model, but %s is a random model, which has no chat template", e.Model)
	case !k.sections[e.Backend].descriptor.Chats:
		return engine.Conflictf(terms.TemplateKey, "leave it out, or use one of the backends "+k.able.templates,
			terms.TemplateKey+" is model, but the %s backend cannot put a prompt into the chat template "+
				"of its model", e.Backend)
	}
	return nil
}
