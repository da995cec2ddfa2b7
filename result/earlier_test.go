package result

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// TestReadsEarlierKeys: a run that an earlier version stored keeps the next step of its failure
// and of the sensors that it lacked, which had other keys.
func TestReadsEarlierKeys(t *testing.T) {
	runs := filepath.Join("..", "testdata", "stored", "ends")
	failed, err := ReadRun(runs, "7064f532c5e5", 1)
	if err != nil {
		t.Fatal(err)
	}
	const build = "build or download llama.cpp (https://github.com/ggml-org/llama.cpp) and put llama-server " +
		"into PATH, " +
		"or its path into LLEM_LLAMA_SERVER"
	if f := failed.Failure; f.Class != codes.ClassNotInstalled || f.Next != build {
		t.Errorf("failure %+v, want the next step %q", f, build)
	}
	ran, err := ReadRun(runs, "f2ffa4f7d477", 1)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]note.Note{
		"nvml": {Code: codes.SensorMissing, Message: "libnvidia-ml.so.1 was not found: no NVIDIA driver here",
			Next: "install the NVIDIA driver; in a container, pass the GPUs in (docker run --gpus all)"},
	}
	for _, m := range ran.Energy.Missing {
		if w, ok := want[m.Source]; ok && m.Note != w {
			t.Errorf("%s: %+v, want %+v", m.Source, m.Note, w)
		}
		delete(want, m.Source)
	}
	if len(want) > 0 {
		t.Errorf("not read: %v", want)
	}
	var x Exclusion
	if err := json.Unmarshal([]byte(`{"code": "unequal_work", "reason": "why", "next": "n", "runs": 2}`),
		&x); err != nil ||
		x != (Exclusion{note.Note{Code: codes.UnequalWork, Message: "why", Next: "n"}, 2}) {
		t.Errorf("exclusion %+v, %v", x, err)
	}
}

// TestEarlierSimulatedRuns: what an earlier version stored of the simulated engine as modelled
// is simulated, in the record, in the rows and in the summary, stored or made again.
func TestEarlierSimulatedRuns(t *testing.T) {
	dir := filepath.Join("..", "testdata", "stored", "simulated")
	text, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"provenance": "modelled"`) {
		t.Fatal("the stored summary does not have the earlier word")
	}
	stored, err := ReadStudy(dir)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := study.ReadFrozen(filepath.Join(dir, StudyFile))
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewStudyResult(dir, plan, stored.Finished)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*StudyResult{"stored": stored, "made again": again} {
		var got []Provenance
		for _, e := range s.Experiments {
			got = append(got, e.Provenance)
		}
		for i, r := range s.Rows {
			got = append(got, r.Provenance, s.Runs[i].Energy.Provenance)
			if !r.Simulated() {
				t.Errorf("%s: run %s is not simulated", name, r.ID)
			}
		}
		if want := slices.Repeat([]Provenance{Simulated}, 2+4+4); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	journal, err := ReadJournal(dir)
	if err != nil || len(journal) != 4 {
		t.Fatalf("%d lines of the journal, %v", len(journal), err)
	}
	for _, e := range journal {
		if e.Provenance != Simulated {
			t.Errorf("journal: run %s is %s, as its record is not", e.Run, e.Provenance)
		}
	}
	for _, p := range []Provenance{Measured, Modelled} {
		if got := p.Of("vllm"); got != p {
			t.Errorf("%s of vLLM became %s", p, got)
		}
	}
}
