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
		"(allocator, mixed, process), which cannot be compared: compare memory.process_peak_bytes") {
		t.Errorf("caveats %+v", s.Caveats)
	}
	if m := spread(t, s.Experiments[0], "memory.process_peak_bytes"); m.Mean != 9 || m.N != 2 {
		t.Errorf("%+v, want 9 bytes of 2 runs", m)
	}
}

// TestProvenance: the label of a configuration comes from the runs in its mean, not of its first run.
func TestProvenance(t *testing.T) {
	for _, q := range []struct {
		runs [2]result.Provenance
		want result.Provenance
		care bool
	}{
		{[2]result.Provenance{result.None, result.Measured}, result.Measured, false},
		{[2]result.Provenance{result.Measured, result.None}, result.Measured, false},
		{[2]result.Provenance{result.Measured, result.Modelled}, result.Measured, true},
		{[2]result.Provenance{result.Simulated, result.Measured}, result.Measured, true},
		{[2]result.Provenance{result.None, result.None}, result.None, false},
	} {
		s := runsOf(t, [][]float64{{1, 3}}, [][]float64{{1, 1}})
		for i, p := range q.runs {
			s.Runs[i].Energy.Provenance = p
		}
		if err := summarizeRuns(s, study.Until{}); err != nil {
			t.Fatal(err)
		}
		e := s.Experiments[0]
		care := slices.ContainsFunc(e.Caveats, func(n note.Note) bool { return n.Code == codes.ProvenancesDiffer })
		if m, ok := e.Metrics.Get("energy.per_output_token_j"); q.care && (!ok || m.N != 1 ||
			m.Mean != map[bool]float64{true: 1, false: 3}[q.runs[0] == q.want]) {
			t.Errorf("%v: the energy is %+v, want the energy of the run that is %s", q.runs, m, q.want)
		}
		if m, _ := e.Metrics.Get("throughput.output_tokens_per_s"); m.N != 2 {
			t.Errorf("%v: the throughput is %+v, want the throughput of both runs", q.runs, m)
		}
		if e.Provenance != q.want || care != q.care {
			t.Errorf("%v: %s, caveats %v", q.runs, e.Provenance, e.Caveats)
		}
	}
}

// TestRunsDiffer: what is not the same in all runs is told with the number of runs, in the summary and as a
// caution.
func TestRunsDiffer(t *testing.T) {
	s := runsOf(t, [][]float64{{1, 1, 1}}, [][]float64{{1, 1, 1}})
	for i, version := range []string{"1.0", "2.0", "1.0"} {
		s.Runs[i].Backend.Version, s.Runs[i].Backend.DType = version, "float16"
		s.Runs[i].Energy.Devices = []result.Device{{Device: "gpu0", Name: "A GPU", Counted: true},
			{Device: "gpu1", Name: "A GPU", Counted: true}, {Device: "gpu2", Name: "An idle one"}}
	}
	if err := summarizeRuns(s, study.Until{}); err != nil {
		t.Fatal(err)
	}
	e := s.Experiments[0]
	if e.Version != "1.0 (2 of 3), 2.0 (1 of 3)" || e.DType != "float16" || e.Device != "2 × A GPU" {
		t.Errorf("version %q, type %q, device %q", e.Version, e.DType, e.Device)
	}
	if n := len(e.Caveats); n != 1 || e.Caveats[0].Code != codes.RunsDiffer ||
		!strings.Contains(e.Caveats[0].Message, "engine version: 1.0 (2 of 3)") {
		t.Errorf("caveats %+v", e.Caveats)
	}
}
