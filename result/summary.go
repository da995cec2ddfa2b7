package result

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// ExperimentSummary is one configuration over its cycles.
type ExperimentSummary struct {
	// ID of the experiment.
	ID string `json:"id"`
	// Config is the experiment as it was asked for.
	Config study.Experiment `json:"config"`
	// OK is how many runs have a result.
	OK int `json:"ok"`
	// Failed is how many have none.
	Failed int `json:"failed"`
	// LeftOut runs were not made because their backend kept failing.
	LeftOut int `json:"left_out,omitempty"`
	// Excluded are runs among the OK ones that did other work than they were asked for.
	Excluded []Exclusion `json:"excluded,omitempty"`
	// Status is that of the runs: ok if one of them is.
	Status Status `json:"status"`
	// DType and Provenance are those of a run that was ok.
	DType string `json:"dtype,omitempty"`
	// Provenance is what stands behind the energy.
	Provenance Provenance `json:"provenance,omitempty"`
	// MemoryMethod and ProcessMethod are those of the runs, "mixed" if not all the same.
	MemoryMethod MemoryMethod `json:"memory_method,omitempty"`
	// ProcessMethod is what memory.process_peak_bytes counts.
	ProcessMethod MemoryMethod `json:"process_method,omitempty"`
	// Metrics are the numbers of the runs that are comparable, by their path in result.json;
	// null without such a run, and MetricsReason says why.
	Metrics Spreads `json:"metrics"`
	// MetricsReason is empty where Metrics are not null.
	MetricsReason string `json:"metrics_reason,omitempty"`
	// Precision is what became of the wanted precision; null where none was wanted.
	Precision *Precision `json:"precision,omitempty"`
	// Standing is the place among all configurations by ParetoMetrics; null with a
	// single one.
	Standing *Standing `json:"standing"`
	// Caveats are reasons to doubt the configuration as a whole.
	Caveats note.List `json:"caveats,omitempty"`
}

// Precision is how well a metric is known after all cycles, against what was wanted:
// half the width of its 95 % interval over its mean.
type Precision struct {
	// Metric is its path in result.json.
	Metric string `json:"metric"`
	// Wanted is half the relative width of the 95 % interval: 0.02 is ±2 %.
	Wanted float64 `json:"wanted"`
	// Reached is null where the metric has no interval.
	Reached *float64 `json:"reached"`
	// Met reports whether it was reached.
	Met bool `json:"met"`
}

// summarize makes the summaries of the experiments of the rows, in the order in which
// they first ran. The configuration of an experiment is asked for once.
func (s *StudyResult) summarize(until study.Until, config func(Row) (study.Experiment, error)) error {
	s.Experiments = []ExperimentSummary{}
	at, runs := map[string]int{}, [][]*Row{}
	for i := range s.Rows {
		r := &s.Rows[i]
		k, ok := at[r.ID]
		if !ok {
			k = len(s.Experiments)
			at[r.ID] = k
			c, err := config(*r)
			if err != nil {
				return err
			}
			s.Experiments, runs = append(s.Experiments, ExperimentSummary{ID: r.ID, Config: c}), append(runs, nil)
		}
		r.Provenance = r.Provenance.Of(s.Experiments[k].Config.Backend)
		runs[k] = append(runs[k], r)
	}
	for i := range s.Experiments {
		if err := s.Experiments[i].fold(runs[i], until); err != nil {
			return fmt.Errorf("summarize %s: %w", s.Experiments[i].ID, err)
		}
	}
	if len(s.Experiments) < 2 {
		return nil
	}
	standings, err := s.Pareto()
	for i := range standings {
		s.Experiments[i].Standing = &standings[i]
	}
	return err
}

// fold takes the runs of the experiment in.
func (e *ExperimentSummary) fold(runs []*Row, until study.Until) error {
	var good []*Row
	var bad []Row
	about := runs[0]
	for _, r := range runs {
		if r.Status == OK && about.Status != OK {
			about = r
		}
		switch {
		case r.Comparable():
			good = append(good, r)
			e.OK++
		case r.Status == OK:
			bad = append(bad, *r)
			e.OK++
		case r.Made():
			e.Failed++
		case r.Class == codes.ClassLeftOut:
			e.LeftOut++
		}
	}
	if e.Excluded = Exclusions(bad); len(good) == 0 {
		e.MetricsReason = e.noMetrics()
	} else {
		about = good[0]
	}
	e.Status, e.DType, e.Provenance = about.Status, about.DType, about.Provenance
	var err error
	if e.Metrics, err = spreadsOf(good); err != nil {
		return err
	}
	e.memory(good)
	e.precision(good, until)
	for _, r := range good[min(1, len(good)):] {
		if r.WorkloadHash != good[0].WorkloadHash {
			e.Caveats.Warnf(codes.WorkloadsDiffer,
				"its runs did not compute the same token ids (cycles %d and %d differ): their numbers are "+
					"of different work", good[0].Cycle, r.Cycle)
			break
		}
	}
	return nil
}

// precision holds the runs against the wanted precision.
func (e *ExperimentSummary) precision(good []*Row, until study.Until) {
	if until.MaxCycles == 0 || len(good) == 0 {
		return
	}
	p := &Precision{Metric: until.Metric, Wanted: until.RelativeHalfWidth}
	e.Precision = p
	var values []float64
	for _, r := range good {
		if v, ok := r.Values.Get(until.Metric); ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		e.Caveats.Warnf(codes.PrecisionUnknown,
			"%s was not measured, so it was repeated no further than %d times: nothing is known "+
				"of the wanted precision", until.Metric, len(good))
		return
	}
	half, err := stats.RelativeHalfWidth(values)
	if err != nil || math.IsNaN(half) || math.IsInf(half, 0) {
		e.Caveats.Warnf(codes.PrecisionNotReached,
			"%s has no interval after %d runs; wanted was ±%.2g %%", until.Metric, len(values),
			100*p.Wanted)
		return
	}
	p.Reached, p.Met = &half, half <= p.Wanted
	if !p.Met {
		e.Caveats.Warnf(codes.PrecisionNotReached,
			"%s is known to ±%.2g %% after %d runs; wanted was ±%.2g %%", until.Metric, 100*half,
			len(values), 100*p.Wanted)
	}
}

// Doubt is a warning that runs share, in the words of the first that has it.
type Doubt struct {
	// Kind is "warning" or "not measured".
	Kind string `json:"kind"`
	note.Note
	// Runs is how many have it.
	Runs int `json:"runs"`
}

// collectWarnings makes the doubts of the warnings of all rows. The words are in the records: one is read
// for each code.
func (s *StudyResult) collectWarnings() error {
	type kind struct{ kind, code string }
	at := map[kind]int{}
	var first []Row
	add := func(k kind, r Row) {
		i, ok := at[k]
		if !ok {
			i = len(s.Doubts)
			at[k] = i
			s.Doubts = append(s.Doubts, Doubt{Kind: k.kind, Note: note.Note{Code: note.Code(k.code)}})
			first = append(first, r)
		}
		s.Doubts[i].Runs++
	}
	for _, r := range s.Rows {
		if r.Status == OK && r.Reason != "" {
			add(kind{"not measured", r.Reason}, r)
		}
		for _, code := range r.Warnings {
			add(kind{"warning", string(code)}, r)
		}
	}
	for i := range s.Doubts {
		d := &s.Doubts[i]
		if d.Kind != "warning" {
			d.Code, d.Message = "", string(d.Code)
			continue
		}
		rec, err := ReadRun(s.Dir, first[i].ID, first[i].Cycle)
		if err != nil {
			return err
		}
		if w, ok := rec.Warnings.Find(d.Code); ok {
			d.Note = w
		}
	}
	return nil
}
