package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/result"
)

// The recorded metrics of a run, in the order of a recording's columns.
var kept = []string{"energy.per_output_token_j", "energy.mean_w", "throughput.output_tokens_per_s",
	"latency.ttft_ms.p50", "latency.itl_ms.p50"}

// run is one run of a configuration: its time and its values.
type run struct {
	at     int64 // nanoseconds
	values [5]float64
}

// recording has the runs of each configuration by cycle, in the order of the study's experiments.
type recording [3][]run

// Configurations of a recording.
const (
	plain = iota
	twin  // equal to plain
	slow  // 5 % slower
)

// record returns the run as a record for comparisons.
func (r run) record(cycle int) *result.Record {
	distribution := func(v float64) *result.Distribution { return &result.Distribution{N: 1, Mean: v, P50: v} }
	start := time.Unix(0, r.at)
	return &result.Record{Status: result.OK, Cycle: cycle, Window: &result.Window{Start: start, End: start},
		Energy: result.Energy{PerOutputTokenJ: &result.Quantity{Value: r.values[0]},
			MeanW: &result.Quantity{Value: r.values[1]}},
		Throughput: &result.Throughput{OutputTokensPerS: r.values[2]},
		Latency:    &result.Latency{TTFT: distribution(r.values[3]), ITL: distribution(r.values[4])}}
}

// side returns a side of a comparison of runs.
func side(runs []run) compare.Side {
	s := compare.Side{Study: "recording"}
	for i, r := range runs {
		s.Runs = append(s.Runs, r.record(i+1))
	}
	return s
}

// scaled returns runs with the first value of each multiplied by factor.
func scaled(runs []run, factor float64) []run {
	out := slices.Clone(runs)
	for i := range out {
		out[i].values[0] *= factor
	}
	return out
}

// shares counts the verdicts on pairs of configurations.
type shares struct {
	pairs int
	// primary counts the pairs that differ in energy per output token, and secondary the pairs that differ in
	// any other metric.
	primary, secondary int
	visible            []float64
}

// add compares a pair.
func (s *shares) add(a, b []run) error {
	c, err := compare.Sides(side(a), side(b), compare.Options{})
	if err != nil {
		return err
	}
	differs := func(m compare.Metric) bool { return m.Verdict == compare.Lower || m.Verdict == compare.Higher }
	s.pairs++
	if differs(c.Metrics[0]) {
		s.primary++
	}
	if slices.ContainsFunc(c.Metrics[1:], differs) {
		s.secondary++
	}
	if v := c.Metrics[0].Visible; v != nil {
		s.visible = append(s.visible, v.From)
	}
	return nil
}

// least returns the median of the smallest difference that the pairs could have shown.
func (s *shares) least() float64 {
	slices.Sort(s.visible)
	return s.visible[len(s.visible)/2]
}

// real compares pairs of n cycles as they were run, without sharing runs: interleaved, as one study with
// order: interleave.
func (r recording) real(other, n int) (s shares, err error) {
	for i := 0; i+n <= len(r[plain]) && err == nil; i += n {
		err = s.add(r[plain][i:i+n], r[other][i:i+n])
	}
	return s, err
}

// equals are the pairs of equal configurations, and apart the pairs that are 5 % apart; pairs share no run.
var (
	equals = [][2]int{{plain, twin}, {twin, plain}, {slow, slow}}
	apart  = [][2]int{{plain, slow}}
)

// sequential compares n runs with the next n of another configuration, as with order: sequential. Pairs share
// no run.
func (r recording) sequential(configurations [][2]int, n int) (s shares, err error) {
	for i := 0; i+2*n <= len(r[plain]); i += 2 * n {
		for _, c := range configurations {
			if err := s.add(r[c[0]][i:i+n], r[c[1]][i+n:i+2*n]); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// resampled draws n of the cycles for each of many equal pairs, and scales the energy of one side.
func (r recording) resampled(n, pairs int, factor float64, seed uint64) (s shares, err error) {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	for range pairs {
		var a, b []run
		picked := rng.Perm(len(r[plain]))[:n]
		slices.Sort(picked)
		for _, i := range picked {
			a, b = append(a, r[plain][i]), append(b, r[twin][i])
		}
		if err := s.add(a, scaled(b, factor)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// table prints the verdicts on pairs of three to five cycles.
func (r recording) table(w io.Writer) error {
	const drawn = 1000
	fmt.Fprintln(w, "| pairs | cycles | how | called different | in another metric | visible from "+
		"|\n|---|---|---|---|---|---|")
	for _, row := range []struct {
		what, how string
		of        func(n int) (shares, error)
	}{
		{"equal", "run, interleaved", func(n int) (shares, error) { return r.real(twin, n) }},
		{"equal", "run, one after the other", func(n int) (shares, error) { return r.sequential(equals, n) }},
		{"equal", "drawn from the runs", func(n int) (shares, error) { return r.resampled(n, drawn, 1, 1) }},
		{"5 % apart", "run, interleaved", func(n int) (shares, error) { return r.real(slow, n) }},
		{"5 % apart", "run, one after the other", func(n int) (shares, error) { return r.sequential(apart, n) }},
		{"1 % apart", "drawn, one side scaled", func(n int) (shares, error) {
			return r.resampled(n, drawn, 1.01, 1)
		}},
	} {
		for n := 2; n <= 5; n++ {
			s, err := row.of(n)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "| %s | %d | %s | %d of %d (%.1f %%) | %.1f %% | %.2g %% |\n", row.what, n, row.how,
				s.primary,
				s.pairs, 100*float64(s.primary)/float64(s.pairs), 100*float64(s.secondary)/float64(s.pairs),
				100*s.least())
		}
	}
	return nil
}
