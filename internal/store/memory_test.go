package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
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
