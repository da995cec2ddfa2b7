package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestKeyOf: names of finished runs, and of other folders.
func TestKeyOf(t *testing.T) {
	for name, want := range map[string]int{"a-c1": 1, "a-c12": 12, "a-c0": 0, "a-c-1": 0, "a-cx": 0, "a": 0,
		"a-c1.try1":    0,
		"a-c1.partial": 0} {
		if key, ok := KeyOf(name); ok != (want > 0) || ok && key != (RunKey{"a", want}) {
			t.Errorf("%s: %+v, %v", name, key, ok)
		}
	}
}

// TestUnbalancedSquares: an odd number of experiments takes twice as many cycles.
func TestUnbalancedSquares(t *testing.T) {
	for q, balanced := range map[[2]int]bool{{3, 3}: false, {3, 6}: true, {3, 12}: true, {4, 4}: true, {4, 6}: false,
		{2, 1}: false, {2, 2}: true, {1, 1}: true, {5, 5}: false, {5, 10}: true} {
		x := study.Execution{Order: terms.LatinSquare, Cycles: q[1]}
		if text := Unbalanced(x, q[0]); (text == "") != balanced {
			t.Errorf("%d experiments in %d cycles: %q", q[0], q[1], text)
		}
		if x.Order = terms.Shuffle; Unbalanced(x, q[0]) != "" {
			t.Error("a shuffled study is unbalanced")
		}
	}
}

// TestSetAside: nothing of an earlier try is lost, whatever number it has.
func TestSetAside(t *testing.T) {
	final := filepath.Join(t.TempDir(), "a-c1")
	for _, word := range []string{"one", "two", "three"} {
		if err := os.WriteFile(final, []byte(word), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := setAside(final); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{".try1": "one", ".try2": "two", ".try3": "three"} {
		if text, err := os.ReadFile(final + name); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v, want %q", name, text, err, want)
		}
	}
	if err := setAside(final); err != nil {
		t.Errorf("without an earlier try: %v", err)
	}
}

// TestOneMethod: methods that differ are mixed; an unknown method takes the others'.
func TestOneMethod(t *testing.T) {
	const a, b = result.MemoryAllocator, result.MemoryProcess
	for q, want := range map[[2]result.MemoryMethod]result.MemoryMethod{{"", ""}: "", {"", a}: a, {a, ""}: a, {a, a}: a,
		{a, b}: result.MemoryMixed, {result.MemoryMixed, a}: result.MemoryMixed} {
		if got := oneMethod(q[0], q[1]); got != want {
			t.Errorf("%q and %q: %q, want %q", q[0], q[1], got, want)
		}
	}
}

// TestLeft: cycles beyond the planned ones stand for none of these, and are left to make until the precision is
// reached or their number is.
func TestLeft(t *testing.T) {
	const metric = "energy.total_j"
	rows := []result.Row{{ID: "a", Cycle: 1, Status: result.OK}, {ID: "a", Cycle: 2, Status: result.OK},
		{ID: "a", Cycle: 3, Status: result.OK}}
	s := summary{&result.StudyResult{Planned: 2, Rows: rows}}
	of := &study.Study{Experiments: make([]study.Experiment, 2), Execution: study.Execution{Cycles: 1}}
	if s.count(); s.Planned != 3 || s.OK != 3 {
		t.Errorf("%d runs are planned, %d ok, want 3", s.Planned, s.OK)
	}
	if s.left(of, shard.Shard{}); s.Left != 1 || s.Complete {
		t.Errorf("%d runs are left, want the one of the other experiment", s.Left)
	}
	for most, left := range map[int]int{3: 0, 4: 1} {
		measured := runsOf(t, [][]float64{{1, 2, 3}}, [][]float64{{1, 1, 1}}).Experiments[0]
		measured.ID, measured.Precision = "a", &result.Precision{Metric: "energy.per_output_token_j"}
		s = summary{&result.StudyResult{Rows: rows, Experiments: []result.ExperimentSummary{measured}}}
		of.Experiments = make([]study.Experiment, 1)
		of.Execution.Until = study.Until{Metric: metric, MaxCycles: most}
		if s.left(of, shard.Shard{}); s.Left != left || s.Complete != (left == 0) {
			t.Errorf("at most %d cycles: %d runs are left, want %d", most, s.Left, left)
		}
	}
}
