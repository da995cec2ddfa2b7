package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestMemoryMethodsDiffer: peaks that are not the same thing are known in a configuration,
// and in a study, which says what can be compared instead.
func TestMemoryMethodsDiffer(t *testing.T) {
	s := runsOf(t, [][]float64{{1, 1}, {1, 1}, {1, 1}}, [][]float64{{1, 1}, {1, 1}, {1, 1}})
	for i, methods := range [][2]result.MemoryMethod{{result.MemoryAllocator, result.MemoryProcess},
		{result.MemoryAllocator, result.MemoryProcess},
		{result.MemoryProcess, result.MemoryProcess}, {result.MemoryProcess,
			result.MemoryProcess}, {result.MemoryProcess, result.MemoryProcess}, {result.MemoryDevice,
			result.MemoryProcess}} {
		s.Runs[i].Memory = result.Memory{PeakBytes: new(int64(7)), Method: methods[0], ProcessPeakBytes: new(int64(9)),
			ProcessMethod: methods[1]}
	}
	if err := summarizeRuns(s, study.Until{}); err != nil {
		t.Fatal(err)
	}
	var got []result.MemoryMethod
	for _, e := range s.Experiments {
		got = append(got, e.Method("memory.peak_bytes"))
	}
	if want := []result.MemoryMethod{result.MemoryAllocator, result.MemoryProcess,
		result.MemoryMixed}; !slices.Equal(got, want) {
		t.Errorf("methods %q, want %q", got, want)
	}
	if c := s.Experiments[2].Caveats; len(c) != 1 || c[0].Code != codes.MemoryMethodsDiffer {
		t.Errorf("caveats %+v of a configuration with two methods", c)
	}
	summary{s}.memoryCaveats()
	if len(s.Caveats) != 1 || !strings.Contains(s.Caveats[0].Message,
		"(allocator, mixed, process), which are not to be compared: compare memory.process_peak_bytes") {
		t.Errorf("caveats %+v", s.Caveats)
	}
	if m := spread(t, s.Experiments[0], "memory.process_peak_bytes"); m.Mean != 9 || m.N != 2 {
		t.Errorf("%+v, want 9 bytes of 2 runs", m)
	}
}

// TestProvenance: the label of a configuration is that of the runs in its mean, not of its first run.
func TestProvenance(t *testing.T) {
	for _, q := range []struct {
		runs [2]result.Provenance
		want result.Provenance
		care bool
	}{
		{[2]result.Provenance{result.None, result.Measured}, result.Measured, false},
		{[2]result.Provenance{result.Measured, result.None}, result.Measured, false},
		{[2]result.Provenance{result.Measured, result.Modelled}, result.Modelled, true},
		{[2]result.Provenance{result.Simulated, result.Measured}, result.Simulated, true},
		{[2]result.Provenance{result.None, result.None}, result.None, false},
	} {
		s := runsOf(t, [][]float64{{1, 1}}, [][]float64{{1, 1}})
		for i, p := range q.runs {
			s.Runs[i].Energy.Provenance = p
		}
		if err := summarizeRuns(s, study.Until{}); err != nil {
			t.Fatal(err)
		}
		e := s.Experiments[0]
		care := slices.ContainsFunc(e.Caveats, func(n note.Note) bool { return n.Code == codes.ProvenancesDiffer })
		if e.Provenance != q.want || care != q.care {
			t.Errorf("%v: %s, caveats %v", q.runs, e.Provenance, e.Caveats)
		}
	}
}
