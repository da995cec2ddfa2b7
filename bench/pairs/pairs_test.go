package main

import (
	"path/filepath"
	"testing"
)

// read takes a recording of real runs; testdata/README.md says how they were made.
func read(t *testing.T, name string) recording {
	t.Helper()
	r, err := readRuns(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// between checks a share of pairs.
func between(t *testing.T, what string, n, pairs int, least, most float64) {
	t.Helper()
	if share := float64(n) / float64(pairs); share < least || share > most {
		t.Errorf("%s: %d of %d pairs (%.3f), want %v to %v", what, n, pairs, share, least, most)
	}
}

// cycles are the numbers of cycles that the pairs have: one of them with the race detector, which is slow.
func cycles() []int {
	if testing.Short() {
		return []int{3}
	}
	return []int{3, 5}
}

// TestEqualPairs: of pairs that do not differ at most 8 % are called different, on a quiet
// machine and on one that other
// work takes the processors from, as they were run and drawn at random; and the test is not blunt.
func TestEqualPairs(t *testing.T) {
	t.Parallel()
	for name, least := range map[string]float64{"quiet.csv.gz": 0.02, "loaded.csv.gz": 0.002} {
		r := read(t, name)
		for _, n := range cycles() {
			run, err := r.real(twin, n)
			if err != nil {
				t.Fatal(err)
			}
			between(t, name+", as they were run", run.primary, run.pairs, 0, 0.08)
			drawn, err := r.resampled(n, 400, 1, 3)
			if err != nil {
				t.Fatal(err)
			}
			between(t, name+", drawn", drawn.primary, drawn.pairs, least, 0.08)
			between(t, name+", drawn, another metric", drawn.secondary, drawn.pairs, 0, 0.08)
		}
	}
}

// TestEqualSequential: of pairs that do not differ and were run one after the other at most 8 % are called different.
func TestEqualSequential(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"quiet.csv.gz", "loaded.csv.gz"} {
		r := read(t, name)
		for _, n := range cycles() {
			s, err := r.sequential(equals, n)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d of %d pairs of %d cycles", name, s.primary, s.pairs, n)
			between(t, name+", one after the other", s.primary, s.pairs, 0.005, 0.08)
		}
	}
	s, err := read(t, "quiet.csv.gz").sequential(apart, 5)
	if err != nil {
		t.Fatal(err)
	}
	between(t, "5 % apart, one after the other", s.primary, s.pairs, 0.95, 1)
}

// TestFivePercent: of pairs that are 5 % apart at least 80 % are found with 5 cycles on a quiet machine.
func TestFivePercent(t *testing.T) {
	t.Parallel()
	r := read(t, "quiet.csv.gz")
	s, err := r.real(slow, 5)
	if err != nil {
		t.Fatal(err)
	}
	between(t, "5 % apart", s.primary, s.pairs, 0.8, 1)
}

// TestVisibleIsVisible: a difference as large as the pairs say they could show is found about four times in five, and
// one of a third of it seldom.
func TestVisibleIsVisible(t *testing.T) {
	t.Parallel()
	r := read(t, "quiet.csv.gz")
	for _, n := range cycles() {
		equal, err := r.resampled(n, 60, 1, 4)
		if err != nil {
			t.Fatal(err)
		}
		for part, bounds := range map[float64][2]float64{1: {0.65, 0.95}, 0.33: {0.05, 0.45}} {
			s, err := r.resampled(n, 100, 1+part*equal.least(), 5)
			if err != nil {
				t.Fatal(err)
			}
			between(t, "as large as is visible", s.primary, s.pairs, bounds[0], bounds[1])
		}
	}
}

// TestFile: what is kept of a recording is read again.
func TestFile(t *testing.T) {
	r := read(t, "quiet.csv.gz")
	path := filepath.Join(t.TempDir(), "runs")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	again, err := readRuns(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r {
		if len(again[i]) != len(r[i]) || again[i][7].values != r[i][7].values {
			t.Errorf("configuration %d: %d runs, were %d", i, len(again[i]), len(r[i]))
		}
	}
}
