package study

import (
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/expand"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/source"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// reading holds what the sources of a study contain, in the grammar of its engines.
type reading struct {
	*source.Source
	table  *table
	stored func(model string) string // see [Options]
}

func newReading(list engine.Descriptors) reading {
	if list == nil {
		list = engines.All()
	}
	t := newTable(list)
	return reading{Source: source.New(t.Set), table: t}
}

// build returns the study, or all mistakes.
func (b reading) build() (*Study, error) {
	execution, problem := resolveExecution(b.Execution)
	if problem != nil {
		b.Errs = append(b.Errs, problem)
	}
	b.CheckAxes()
	b.Endpoints(usualWorkload.Prompts, synthetic)
	b.RequireModel()
	if len(b.Errs) > 0 {
		return nil, mistakes(b.Mistakes())
	}
	c := &collector{reading: b, out: &Study{Name: b.Name, Execution: execution}, seed: maphash.MakeSeed(),
		types: map[string]string{}}
	outcome := expand.Run(b.Source, expand.Options{Room: c.room, Take: c.take})
	if len(b.Errs) > 0 {
		return nil, mistakes(b.Mistakes())
	}
	c.finish(outcome)
	if _, given := b.Execution["execution.seed"]; !given && execution.Order == terms.Shuffle {
		c.out.Execution.Seed = c.out.ownSeed()
	}
	return c.out, nil
}

// collector makes experiments from the points of a study, and merges equal ones.
type collector struct {
	reading
	out *Study
	// seen maps the hash of an experiment's meaning to its index.
	seen map[uint64]int32
	seed maphash.Seed
	// next is the experiment of the current point.
	next Experiment
	// meant is its meaning without the section, for the hash.
	meant Experiment
	// types caches the answers of stored, by model.
	types map[string]string
}

// room reserves space for all points, which uses no memory until it is written to.
func (c *collector) room(total int) {
	c.out.Experiments = make([]Experiment, 0, min(total, keys.MaxPoints))
	if len(c.Where) > 0 {
		total = 0
	}
	c.seen = make(map[uint64]int32, total)
}

// take adds a point to the study unless it duplicates another one or cannot be run.
func (c *collector) take(p *expand.Point) bool {
	e := &c.next
	c.table.fill(e, p.Values)
	if r := c.table.conflict(p.Values, e); r != nil {
		p.Refuse(r.Key, r.Message, r.Next)
		return true
	}
	if p.ID != nil && !c.named(p, e) {
		return false
	}
	if e.DType != terms.DTypeAuto && e.DType == c.storedDType(e) {
		e.DType = terms.DTypeAuto
	}
	h := c.hash(p, e)
	for {
		i, hit := c.seen[h]
		if !hit {
			break
		}
		// Equal sections are one text.
		if c.out.Experiments[i].Measured() == e.Measured() {
			c.out.Merged++
			if len(c.out.Duplicates) < keys.MaxListed {
				c.out.Duplicates = append(c.out.Duplicates, Duplicate{p.Describe(), e.ID()})
			}
			return true
		}
		h++
	}
	if len(c.out.Experiments) == keys.MaxPoints {
		c.Fail(c.Nowhere(), "use fewer values", "the study has more than %d experiments", keys.MaxPoints)
		return false
	}
	c.seen[h] = int32(len(c.out.Experiments))
	c.out.Experiments = append(c.out.Experiments, *e)
	return true
}

// named reports whether an entry of experiments has the ID that it gives, of this version or an earlier one: then
// it has the same meaning as there.
func (c *collector) named(p *expand.Point, e *Experiment) bool {
	meant := e.Recorded(p.ID.Text)
	if meant.ID() != p.ID.Text {
		c.Fail(p.ID.At, "remove the id: it is made from the values",
			"entry %d of experiments has the id %q, but its values make it %s", p.Entry, p.ID.Text, e.ID())
		return false
	}
	meant.RecordedID = ""
	*e = meant
	return true
}

// storedDType returns what auto stands for if an engine uses the type of the model's files; empty if unknown.
func (c *collector) storedDType(e *Experiment) string {
	d := engines.Find(c.table.engines, e.Backend)
	model := canonicalModel(e.Model)
	if c.stored == nil || !d.GGUF || isRandom(model) {
		return ""
	}
	if _, seen := c.types[model]; !seen {
		c.types[model] = c.stored(model)
	}
	return c.types[model]
}

// hash returns the hash of the values in which points can differ.
func (c *collector) hash(p *expand.Point, e *Experiment) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := maphash.String(c.seed, p.Backend)
	c.meant = *e
	c.meant.Section = "" // its values are hashed
	c.meant = c.meant.Measured()
	for _, f := range p.Varied {
		v := f.Get(p.Values)
		switch { // equal IDs need equal hashes
		case f.Slot < c.Common:
			v = c.table.common[f.Slot].read(&c.meant)
		case slices.Contains(grammar.BatchKeys(), strings.TrimPrefix(f.Key, f.Section+".")):
			n := e.filledBatch()
			v = grammar.Value{Whole: int64(n), Number: float64(n)}
		}
		if v.Text != "" {
			h ^= maphash.String(c.seed, v.Text)
		}
		h = (h ^ uint64(v.Whole) ^ math.Float64bits(v.Number)) * odd
		h ^= h >> 29
	}
	return h
}

// finish adds the outcome of the other points.
func (c *collector) finish(o expand.Outcome) {
	c.out.BackendNamed, c.out.Unused, c.out.Filtered, c.out.Refused = o.BackendNamed, o.Unused, o.Filtered, o.Refused
	for _, p := range o.Invalid {
		c.out.Invalid = append(c.out.Invalid, Invalid{p.Point, p.Note})
	}
	if len(c.out.Experiments) < cap(c.out.Experiments)/2 {
		c.out.Experiments = slices.Clone(c.out.Experiments)
	}
}

// ownSeed returns the seed of a study's shuffles if none is given.
func (s *Study) ownSeed() uint64 {
	ids := make([]string, len(s.Experiments))
	for i, e := range s.Experiments {
		ids[i] = e.ID()
	}
	return keys.Seed(ids)
}
