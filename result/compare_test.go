package result

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestComparable: which runs may stand for their configuration, and which were made at all.
func TestComparable(t *testing.T) {
	for name, q := range map[string]struct {
		row              Row
		comparable, made bool
		unequal          note.Code
	}{
		"ok":             {Row{Status: OK}, true, true, ""},
		"ok, in doubt":   {Row{Status: OK, Warnings: []note.Code{codes.Drift}}, true, true, ""},
		"ok, other work": {Row{Status: OK, Warnings: []note.Code{codes.UnequalWork}}, false, true, codes.UnequalWork},
		"ok, one failed": {Row{Status: OK, Warnings: []note.Code{codes.RequestsFailed}}, false, true,
			codes.RequestsFailed},
		"failed":      {Row{Status: Failed, Class: codes.ClassHung}, false, true, ""},
		"left out":    {Row{Status: Failed, Class: codes.ClassLeftOut}, false, false, ""},
		"interrupted": {Row{Status: Interrupted}, false, false, ""},
		"interrupted late": {Row{Status: Interrupted, Warnings: []note.Code{codes.UnequalWork}}, false, false,
			codes.UnequalWork},
	} {
		r := q.row
		if r.Comparable() != q.comparable || r.Made() != q.made || r.Unequal() != q.unequal {
			t.Errorf("%s: comparable %v, made %v, unequal %q", name, r.Comparable(), r.Made(), r.Unequal())
		}
	}
}

// TestStale: a summary that has runs in its figures which are not comparable was made by an earlier version.
func TestStale(t *testing.T) {
	e := ExperimentSummary{ID: "a", OK: 5, Excluded: []Exclusion{{Runs: 2}, {Runs: 1}}}
	if n := e.Compared(); n != 2 {
		t.Errorf("%d runs are behind the figures, want 2", n)
	}
	bad := Row{ID: "a", Status: OK, Warnings: []note.Code{codes.UnequalWork}}
	good, other := Row{ID: "a", Status: OK}, Row{ID: "a", Status: Interrupted, Warnings: bad.Warnings}
	for n, want := range map[int]bool{2: true, 3: false, 4: true} {
		s := &StudyResult{Experiments: []ExperimentSummary{e},
			Rows: append([]Row{good, good, other}, slices.Repeat([]Row{bad}, n)...)}
		if s.Stale() != want {
			t.Errorf("%d of its runs are not comparable, 3 are excluded: stale %v, want %v", n, s.Stale(), want)
		}
	}
}

// studyOf has one configuration for each of the values of a metric; NaN is none.
func studyOf(metric string, values ...float64) *StudyResult {
	s := &StudyResult{}
	for i, x := range values {
		v := valuesWith(map[string]float64{metric: x})
		s.Experiments = append(s.Experiments,
			ExperimentSummary{ID: string(rune('a' + i)), OK: 1, Metrics: Spreads{one: v}})
	}
	return s
}

// valuesWith has the given metrics; NaN is none.
func valuesWith(named map[string]float64) Values {
	all := make([]float64, len(metricInfos))
	fill(all)
	for name, x := range named {
		all[metricIndex(name)] = x
	}
	return packed(all)
}

// TestSortBy: the best first, by the metric's own direction, those without a value last and all others in their order.
func TestSortBy(t *testing.T) {
	none := math.NaN()
	for metric, want := range map[string]string{"energy.total_j": "dbface",
		"throughput.output_tokens_per_s": "afbdce"} {
		s := studyOf(metric, 5, 2, none, 1, none, 3)
		if err := s.SortBy(metric); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range s.Experiments {
			got += e.ID
		}
		if got != want {
			t.Errorf("by %s: %s, want %s", metric, got, want)
		}
	}
}

// TestBestRefuses: limits that are not numbers.
func TestBestRefuses(t *testing.T) {
	s := studyOf("energy.total_j", 1, 2)
	for _, limit := range []string{"NaN", "Inf", "-inf", "1e999", "five"} {
		if _, err := s.Best("energy.total_j", "energy.total_j < "+limit); err == nil {
			t.Errorf("%s is taken for a limit", limit)
		}
	}
	if c, err := s.Best("energy.total_j", "energy.total_j >= 1.5"); err == nil && c.Best != nil {
		t.Errorf("%+v: single runs have no intervals, so that none meets a limit for sure", c.Best)
	}
}

// TestSpreadOf: mean and interval of repeated runs, and what is said of runs that drift.
func TestSpreadOf(t *testing.T) {
	s, err := spreadOf([]float64{10, 11, 12, 9, 8})
	if err != nil {
		t.Fatal(err)
	}
	half := 2.7764451 * math.Sqrt(2.5) / math.Sqrt(5) // Student, 4 degrees of freedom
	p := s.point()
	if math.Abs(p.Low-(10-half)) > 1e-6 || math.Abs(p.High-(10+half)) > 1e-6 || p.Value != 10 {
		t.Errorf("%+v, want 10 ± %g", p, half)
	}
	for name, q := range map[string]struct {
		values []float64
		drift  bool
	}{
		"five that rise":  {[]float64{1, 2, 3, 4, 5}, true},
		"four that rise":  {[]float64{1, 2, 3, 4}, false},
		"five of no kind": {[]float64{1, 3, 2, 5, 4}, false},
	} {
		s, err := spreadOf(q.values)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := s.Caveats.Find(codes.Drift); got != q.drift {
			t.Errorf("%s: caveats %v", name, s.Caveats)
		}
	}
}

// TestValuesThatAreCut: a text that goes on behind its end, or has none, is not of the plain form.
func TestValuesThatAreCut(t *testing.T) {
	for text, want := range map[string]bool{`{"energy.total_j":1}`: true, `{}`: true, `{"energy.total_j":1}}`: false,
		`{}x`: false, `{"energy.total_j":1,`: false, `{"energy.total_j":1`: false, `{`: false} {
		if got := readPlain(make([]float64, len(metricInfos)), []byte(text), ""); got != want {
			t.Errorf("%s: read %v, want %v", text, got, want)
		}
	}
}

// TestMemoryMethods: vLLM's number includes the pool of its cache, unlike an allocator's.
func TestMemoryMethods(t *testing.T) {
	for source, want := range map[string]MemoryMethod{"": "", "torch.cuda.max_memory_allocated": MemoryAllocator,
		poolSource: MemoryPool, "VmHWM": MemoryRSS, "simulated": MemorySimulated, "its own words": MemoryOther} {
		if got := MethodOf(source); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

// TestOtherSchemas: neither a later nor an earlier schema is read as this one.
func TestOtherSchemas(t *testing.T) {
	path := filepath.Join(t.TempDir(), RecordFile)
	for version, ok := range map[string]bool{"0": false, "1": SchemaVersion == 1, "999": false} {
		if err := os.WriteFile(path, []byte(`{"schema_version":`+version+`}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRecord(path); (err == nil) != ok {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

// TestLargeSummary: the rows of a large study have the main metrics alone.
func TestLargeSummary(t *testing.T) {
	v := valuesWith(map[string]float64{"energy.total_j": 3, "latency.e2e_ms.p99": 4})
	s := &StudyResult{SchemaVersion: SchemaVersion, RunsReason: "too many", Rows: []Row{{ID: "a", Values: v}}}
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.Contains(text, `"energy.total_j":3`) || strings.Contains(text, "e2e") {
		t.Errorf("%s", text)
	}
	if _, ok := s.Rows[0].Values.Get("latency.e2e_ms.p99"); !ok {
		t.Error("writing changed the rows")
	}
	dir := t.TempDir()
	for text, ok := range map[string]bool{b.String(): true, b.String() + "{}": false} {
		if err := os.WriteFile(filepath.Join(dir, SummaryFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadStudy(dir); (err == nil) != ok {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}
