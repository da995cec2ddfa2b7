package study

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// Values with the same meaning are spelled in the same way, as far as that is possible without reading the disk:
// whether a relative and an absolute path name the same file is unknown.

// hubName matches the name of a repository of the hub, and also a path of two parts.
var hubName = regexp.MustCompile(`^[^/]+/[^/]+$`)

// canonicalModel normalises the name of a model.
func canonicalModel(name string) string {
	const random = "random:"
	if len(name) >= len(random) && strings.EqualFold(name[:len(random)], random) {
		return strings.ToLower(name)
	}
	return keys.CanonicalPath(name, func(clean string) bool { return hubName.MatchString(clean) })
}

// Data sets that are not files.
const (
	builtin = "builtin"
	// builtinFirst are the built-in prompts of versions that had a single order of them.
	builtinFirst = "builtin-1"
	// builtinNow is the name of this version's built-in prompts in IDs. It changes with them: see TestSecondEdition of
	// package workload.
	builtinNow = "builtin-2"
	synthetic  = "synthetic"
)

// canonicalDataset normalises the name of a data set.
func canonicalDataset(name string) string {
	return keys.CanonicalPath(name, func(clean string) bool {
		return clean == builtin || clean == builtinFirst || clean == synthetic || strings.HasPrefix(clean, "hf:")
	})
}

// traits are the properties of an engine that IDs depend on.
type traits struct {
	// gguf, chooses and simulated are as in [engine.Descriptor]. auto is what dtype auto stands for if the engine
	// leaves that to llem.
	gguf, chooses, simulated bool
	auto                     string
	// settles reports that the engine never gets a larger batch than the workload fills.
	settles bool
}

// engineTraits has this program's engines by name. IDs do not depend on the engines of a study: nothing is known
// about others.
var engineTraits = sync.OnceValue(func() map[string]traits {
	out := map[string]traits{}
	for _, d := range engines.All() {
		out[d.Name] = traits{d.GGUF, d.ChoosesDType, d.Simulated, about.DType(&d), d.Settle != nil}
	}
	return out
})

// isRandom reports whether a model, in canonical spelling, has random weights.
func isRandom(model string) bool { return strings.HasPrefix(model, "random:") }

// autoOf returns what dtype auto is for a model of which only the name is known; empty if the name is not enough.
// Engines that read GGUF files use the type in the file; their random weights are float16.
func (t traits) autoOf(model string) string {
	switch {
	case t.gguf && isRandom(model):
		return "float16"
	case t.gguf, t.chooses, t.simulated && !isRandom(model):
		return ""
	}
	return t.auto
}

// canonical clears the settings that a greedy choice does not use.
func (d Decoding) canonical() Decoding {
	if d.RepetitionPenalty == terms.PenaltyNone {
		d.RepetitionPenalty = 0
	}
	if d.Temperature == 0 {
		return Decoding{RepetitionPenalty: d.RepetitionPenalty}
	}
	if d.TopP == terms.TopPAll {
		d.TopP = 0
	}
	return d
}

// canonical returns the experiment in its one spelling: settings without effect have their defaults.
func (e Experiment) canonical() Experiment {
	t, known := engineTraits()[e.Backend]
	e.Model, e.Workload.Dataset = canonicalModel(e.Model), canonicalDataset(e.Workload.Dataset)
	if known && e.DType == t.autoOf(e.Model) {
		e.DType = terms.DTypeAuto
	}
	if n := e.filledBatch(); n < e.BatchSize() {
		e.Section = withBatch(e.Section, n)
	}
	e.Workload = e.Workload.canonical()
	if e.Energy.Sources == "none" {
		e.Energy.MinWindow, e.Baseline.Seconds = 0, usualBaseline.Seconds
	}
	if e.Energy.Sources == "none" || e.Baseline.Seconds == 0 {
		e.Baseline.ResidentSeconds = usualBaseline.ResidentSeconds
	}
	e.Warmup = e.Warmup.canonical()
	if e.Workload.Load.Seed == e.Seed {
		e.Workload.Load.Seed = 0
	}
	e.Decoding, e.Seed = e.seeds(!known || t.simulated)
	return e
}

// canonical returns the warm-up without settings that have no effect.
func (w Warmup) canonical() Warmup {
	switch {
	case w.Runs == 0:
		return Warmup{}
	case w.Cover == terms.CoverSizes:
		w.MaxSeconds = 0
	}
	return w
}

// filledBatch returns the batch size, or the part of it that the workload fills if the engine gets no larger one.
func (e Experiment) filledBatch() int {
	n := e.BatchSize()
	if engineTraits()[e.Backend].settles {
		return min(n, e.Workload.Prompts)
	}
	return n
}

// seeds returns the decoding and the seed, without what has no effect. The seed determines random weights of a model
// and of an adapter, built-in and synthetic prompts, and the chosen tokens if decoding has no seed of its own. A
// simulated engine draws its noise from it.
func (e Experiment) seeds(always bool) (Decoding, uint64) {
	d, dataset := e.Decoding.canonical(), e.Workload.Dataset
	arrivals := e.Workload.Load.Seeded() && e.Workload.Load.Seed == 0
	used := always || arrivals || isRandom(e.Model) || dataset == builtin || dataset == synthetic ||
		strings.Contains(string(e.Section), `"lora":"random:`)
	switch {
	case used && d.Seed == e.Seed:
		d.Seed = 0
	case used:
	case d.Temperature > 0: // one seed, for the choice only
		seed := cmp.Or(d.Seed, e.Seed)
		d.Seed = 0
		return d, seed
	default:
		return d, usualSeed
	}
	return d, e.Seed
}

// withBatch returns a section with another batch size.
func withBatch(section engine.JSON, n int) engine.JSON {
	for _, key := range grammar.BatchKeys() {
		head, rest, found := strings.Cut(string(section), `"`+key+`":`)
		if !found {
			continue
		}
		rest = strings.TrimLeft(rest, "0123456789")
		return engine.JSON(head + `"` + key + `":` + strconv.Itoa(n) + rest)
	}
	return section
}
