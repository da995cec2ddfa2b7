package shard

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestPartition checks all divisions of small studies: each run is in one shard, shards differ by a run at most, the
// cycles of an experiment are in as many shards as possible, and shards are connected through shared experiments.
func TestPartition(t *testing.T) {
	for experiments := 1; experiments <= 13; experiments++ {
		for cycles := 1; cycles <= 9; cycles++ {
			for shards := 2; shards <= 9; shards++ {
				name := fmt.Sprintf("%d experiments, %d cycles, %d shards", experiments, cycles, shards)
				size, joined := make([]int, shards), newSets(shards)
				for e := range experiments {
					in := map[int]int{}
					for c := range cycles {
						i := indexOf(experiments, e, c, shards, false)
						if i < 0 || i >= shards {
							t.Fatalf("%s: shard %d", name, i)
						}
						size[i]++
						in[i]++
						joined.join(i, indexOf(experiments, e, 0, shards, false))
					}
					for i, n := range in {
						if most := (cycles + shards - 1) / shards; n > most {
							t.Errorf("%s: %d cycles of experiment %d in shard %d", name, n, e, i)
						}
					}
				}
				least, most := size[0], size[0]
				for _, n := range size {
					least, most = min(least, n), max(most, n)
				}
				if most-least > 1 {
					t.Errorf("%s: sizes %v", name, size)
				}
				if experiments >= shards && cycles > 1 && joined.count() > 1 {
					t.Errorf("%s: shards share no configuration", name)
				}
			}
		}
	}
}

// sets are disjoint sets of numbers.
type sets []int

func newSets(n int) sets {
	s := make(sets, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func (s sets) root(i int) int {
	for s[i] != i {
		i = s[i]
	}
	return i
}

func (s sets) join(a, b int) { s[s.root(a)] = s.root(b) }

func (s sets) count() (n int) {
	for i := range s {
		if s[i] == i {
			n++
		}
	}
	return n
}

// TestTogether: with placement same, a shard has whole configurations.
func TestTogether(t *testing.T) {
	s := &study.Study{Experiments: make([]study.Experiment, 5)}
	s.Execution.Cycles, s.Execution.Placement = 3, terms.PlaceSame
	runs := 0
	for i := range 3 {
		part := Shard{i + 1, 3}
		runs += part.Runs(s)
		for e := range s.Experiments {
			if n := part.Cycles(s, e); n != 0 && n != 3 {
				t.Errorf("%s has %d of 3 cycles", part, n)
			}
		}
		if !part.Complete(s) {
			t.Errorf("%s lacks cycles", part)
		}
	}
	if runs != 15 {
		t.Errorf("%d of 15 runs", runs)
	}
	if err := (Shard{6, 6}).Check(s); err == nil || err.Error() != "shard 6 of 6 has no run: the study has 5 "+
		"configurations, which execution.placement: same keeps together" {
		t.Error(err)
	}
}

// TestParse names the next step of every mistake.
func TestParse(t *testing.T) {
	if s, err := Parse("2/4"); err != nil || s != (Shard{2, 4}) || s.String() != "shard 2 of 4" {
		t.Error(s, err)
	}
	if s, err := Parse(""); err != nil || !s.Whole() {
		t.Error(s, err)
	}
	for text, want := range map[string]string{
		"0/4": "there is no shard 0 of 4: shards count from 1: give 1/4 to 4/4",
		"5/4": "there is no shard 5 of 4: shards count from 1: give 1/4 to 4/4",
		"1/1": "one shard is the whole study: leave --shard out, or divide the study, as 1/2 and 2/2",
		"a/b": `"a/b" is not a shard: give its number and how many there are, such as --shard 2/4`,
		"2":   `"2" is not a shard: give its number and how many there are, such as --shard 2/4`,
		"1/0": `"1/0" is not a shard: give its number and how many there are, such as --shard 2/4`,
		"/":   `"/" is not a shard: give its number and how many there are, such as --shard 2/4`,
	} {
		_, err := Parse(text)
		e, ok := err.(*Error) //nolint:errorlint // returned as it is
		if !ok || e.Msg+": "+e.Next != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestRead: a folder without the file has the whole study; a file that names no shard is an error.
func TestRead(t *testing.T) {
	for text, want := range map[string]Shard{
		"":                           {},
		`{"shard": 2, "of": 3}`:      {2, 3},
		`{"shard": 3, "of": 3}`:      {3, 3},
		`{"shard": 4, "of": 3}`:      {-1, 0},
		`{"shard": 0, "of": 3}`:      {-1, 0},
		`{"shard": 1, "of": 1}`:      {-1, 0},
		`{"shard": 1, "of": 3, "stu`: {-1, 0},
	} {
		dir := t.TempDir()
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Read(dir)
		if bad := want.Index < 0; (err != nil) != bad || !bad && got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}

// TestTogetherSizes: with placement same, neighbouring experiments are in different shards, with all of their cycles.
func TestTogetherSizes(t *testing.T) {
	s := &study.Study{Experiments: make([]study.Experiment, 5),
		Execution: study.Execution{Cycles: 2, Placement: terms.PlaceSame}}
	for i, want := range []int{4, 4, 2} {
		if got := (Shard{i + 1, 3}).Runs(s); got != want {
			t.Errorf("shard %d of 3 has %d runs, want %d", i+1, got, want)
		}
	}
}

// TestMissing: a merged study lacks a run that was interrupted as it lacks one that is not there.
func TestMissing(t *testing.T) {
	s := &study.Study{Experiments: make([]study.Experiment, 1), Execution: study.Execution{Cycles: 3}}
	id := s.Experiments[0].ID()
	r := &result.StudyResult{Left: 2, Rows: []result.Row{{ID: id, Cycle: 1, Status: result.OK},
		{ID: id, Cycle: 2, Status: result.Interrupted}}}
	Shard{}.Doubt(r, s, &Merged{})
	doubt, _ := r.Caveats.Find(codes.ShardsMissing)
	if want := "merged before all runs were there: 2 of 3 runs are missing"; doubt.Message != want {
		t.Errorf("%q, want %q", doubt.Message, want)
	}
}
