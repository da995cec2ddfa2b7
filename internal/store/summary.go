package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// summary is a result that is being built.
type summary struct{ *result.StudyResult }

// experiment is a configuration that is being built from its runs.
type experiment struct{ *result.ExperimentSummary }

// summarize builds the summaries of the experiments of the rows, in the order of the study, whatever the
// order of the runs. config is called once per experiment.
func (s summary) summarize(of *study.Study, config func(result.Row) (study.Experiment, error)) error {
	s.Experiments = []result.ExperimentSummary{}
	at, runs := map[string]int{}, [][]*result.Row{}
	for _, i := range inOrder(s.Rows, of) {
		r := &s.Rows[i]
		k, ok := at[r.ID]
		if !ok {
			k = len(s.Experiments)
			at[r.ID] = k
			c, err := config(*r)
			if err != nil {
				return err
			}
			s.Experiments, runs = append(s.Experiments, result.ExperimentSummary{ID: r.ID, Config: c}), append(runs,
				nil)
		}
		r.Provenance = r.Provenance.Of(s.Experiments[k].Config.Backend)
		runs[k] = append(runs[k], r)
	}
	errs := make([]error, len(s.Experiments))
	each(len(s.Experiments), func(i int) {
		e := experiment{&s.Experiments[i]}
		if err := e.fold(s.Dir, runs[i], of.Execution.Until); err != nil {
			errs[i] = fmt.Errorf("summarize %s: %w", e.ID, err)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
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

// each calls a function with every number below n, on all processors.
func each(n int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// inOrder returns the indices of rows in the order of the study's experiments. Experiments outside the study
// follow, in the order in which they first ran.
func inOrder(rows []result.Row, of *study.Study) []int {
	rank := make(map[string]int, len(of.Experiments))
	for i, e := range of.Experiments {
		rank[e.ID()] = i
	}
	for _, r := range rows {
		if _, known := rank[r.ID]; !known {
			rank[r.ID] = len(of.Experiments) + len(rank)
		}
	}
	out := make([]int, len(rows))
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(rank[rows[a].ID], rank[rows[b].ID]) })
	return out
}

// fold adds the runs of the experiment.
func (e experiment) fold(dir string, runs []*result.Row, until study.Until) error {
	var good []*result.Row
	var bad []result.Row
	about := runs[0]
	for _, r := range runs {
		if r.Status == result.OK && about.Status != result.OK {
			about = r
		}
		switch {
		case r.Comparable():
			good = append(good, r)
			e.OK++
		case r.Status == result.OK:
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
	e.provenance(good)
	e.alike(good)
	var err error
	if e.Metrics, err = result.SpreadsOf(valuesOf(good)); err != nil {
		return err
	}
	e.pool(dir, good)
	e.missing(good, bad)
	e.warned(runs)
	e.memory(good)
	e.precision(good, until)
	defer e.flags(good, bad)
	for _, r := range good[min(1, len(good)):] {
		if r.WorkloadHash != good[0].WorkloadHash {
			e.Caveats.Warnf(codes.WorkloadsDiffer,
				"its runs did not compute the same token ids (cycles %d and %d differ): their numbers are "+
					"of different work", good[0].Cycle, r.Cycle)
			break
		}
	}
	e.repeatable(good)
	return nil
}

// repeatable reports runs that generated other tokens than the first one.
func (e experiment) repeatable(good []*result.Row) {
	same, known, first := 0, 0, ""
	for _, r := range good {
		if r.OutputHash == "" {
			continue
		}
		first = cmp.Or(first, r.OutputHash)
		if known++; r.OutputHash == first {
			same++
		}
	}
	if same < known {
		e.Caveats.Warnf(codes.OutputsDiffer,
			"its runs did not generate the same tokens: outputs equal in %d of %d runs", same, known)
	}
}

// strongest lists the provenances of energy, the strongest first.
var strongest = []result.Provenance{result.Measured, result.Modelled, result.Simulated}

// provenanceOf returns the strongest provenance among the runs: energies of different provenance are never
// averaged. It is empty if no run has energy. of is the number of runs with this provenance.
func provenanceOf(runs []*result.Row) (p result.Provenance, of int, mixed bool) {
	count := map[result.Provenance]int{}
	for _, r := range runs {
		count[r.Provenance]++
	}
	for _, kind := range strongest {
		switch {
		case count[kind] == 0:
		case p == "":
			p, of = kind, count[kind]
		default:
			mixed = true
		}
	}
	return p, of, mixed
}

// provenance sets the provenance of the runs whose energy is in the mean.
func (e experiment) provenance(good []*result.Row) {
	p, n, mixed := provenanceOf(good)
	if p != "" {
		e.Provenance = p
	}
	if mixed {
		e.Caveats.Warnf(codes.ProvenancesDiffer,
			"the energy of %d of %d runs is %s: the mean covers only these (see "+
				"the rows of --json)", n, len(good), p)
	}
}

// alike records differences between the runs of the means, with counts.
func (e experiment) alike(good []*result.Row) {
	for _, q := range []struct {
		what string
		of   func(*result.Row) string
		into *string
	}{
		{"number format", func(r *result.Row) string { return r.DType }, &e.DType},
		{"engine version", func(r *result.Row) string { return r.Version }, &e.Version},
		{"device", func(r *result.Row) string { return r.Device }, &e.Device},
	} {
		count := map[string]int{}
		for _, r := range good {
			if v := q.of(r); v != "" {
				count[v]++
			}
		}
		var parts []string
		for _, v := range slices.Sorted(maps.Keys(count)) {
			if *q.into = v; len(count) > 1 {
				parts = append(parts, fmt.Sprintf("%s (%d of %d)", v, count[v], len(good)))
			}
		}
		if len(parts) > 0 {
			*q.into = strings.Join(parts, ", ")
			e.Caveats.Warnf(codes.RunsDiffer, "its runs differ in the %s: %s", q.what, *q.into)
		}
	}
}

// valuesOf returns the metrics of runs; energies only of runs with the provenance of the mean.
func valuesOf(runs []*result.Row) []result.Values {
	out := make([]result.Values, len(runs))
	p, _, mixed := provenanceOf(runs)
	for i, r := range runs {
		if out[i] = r.Values; mixed && r.Provenance != p {
			out[i] = r.Values.WithoutEnergy()
		}
	}
	return out
}

// flags returns the flags of the runs in the means and of the caveats over them; without a run in the means,
// of the other runs.
func (e experiment) flags(good []*result.Row, bad []result.Row) {
	var all []note.Code
	for _, r := range good {
		all = append(all, r.Warnings...)
	}
	for _, r := range bad[:len(bad)*min(1, max(0, 1-len(good)))] {
		all = append(all, r.Warnings...)
	}
	e.Flags = codes.FlagsOf(append(all, e.Caveats.Codes()...))
}

// warned counts the runs that have a warning.
func (e experiment) warned(runs []*result.Row) {
	for _, r := range runs {
		for _, code := range r.Warnings {
			i := slices.IndexFunc(e.Warnings, func(w result.Warned) bool { return w.Code == code })
			if i < 0 {
				i = len(e.Warnings)
				e.Warnings = append(e.Warnings, result.Warned{Code: code})
			}
			e.Warnings[i].Runs++
		}
	}
}

// missing collects why runs lack numbers.
func (e experiment) missing(good []*result.Row, bad []result.Row) {
	var all [][]result.Missing
	for _, r := range good {
		all = append(all, r.Missing)
	}
	if len(good) == 0 {
		for _, r := range bad {
			all = append(all, r.Missing)
		}
	}
	e.Missing = result.MissingOf(all...)
}

// precision compares the runs with the wanted precision.
func (e experiment) precision(good []*result.Row, until study.Until) {
	if until.MaxCycles == 0 || len(good) == 0 {
		return
	}
	p := &result.Precision{Metric: until.Metric, Wanted: until.RelativeHalfWidth}
	e.Precision = p
	var values []float64
	for _, own := range valuesOf(good) {
		if v, ok := own.Get(until.Metric); ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		e.Caveats.Warnf(codes.PrecisionUnknown,
			"%s was not measured, so it was repeated only %d times, and nothing is known "+
				"about the wanted precision", until.Metric, len(good))
		return
	}
	half, err := stats.RelativeHalfWidth(values)
	if err != nil || math.IsNaN(half) || math.IsInf(half, 0) {
		e.Caveats.Warnf(codes.PrecisionNotReached,
			"%s has no confidence interval after %d runs; ±%.2g %% was wanted", until.Metric, len(values),
			100*p.Wanted)
		return
	}
	p.Reached, p.Met = &half, half <= p.Wanted
	if !p.Met {
		e.Caveats.Warnf(codes.PrecisionNotReached,
			"%s is known to ±%.2g %% after %d runs; ±%.2g %% was wanted", until.Metric, 100*half,
			len(values), 100*p.Wanted)
	}
}

// collectWarnings collects the doubts from the warnings of all rows. The messages are in the records: one is
// read for each code.
func (s summary) collectWarnings() error {
	type kind struct{ kind, code string }
	at := map[kind]int{}
	var first []result.Row
	add := func(k kind, r result.Row) {
		i, ok := at[k]
		if !ok {
			i = len(s.Doubts)
			at[k] = i
			s.Doubts = append(s.Doubts, result.Doubt{Kind: k.kind, Note: note.Note{Code: note.Code(k.code)}})
			first = append(first, r)
		}
		s.Doubts[i].Runs++
	}
	for _, r := range s.Rows {
		if r.Status == result.OK && r.Reason != "" {
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
		rec, err := result.ReadRun(s.Dir, first[i].ID, first[i].Cycle)
		if err != nil {
			return err
		}
		if w, ok := rec.Warnings.Find(d.Code); ok {
			d.Note = w
		}
	}
	return nil
}
