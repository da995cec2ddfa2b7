package result

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
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
