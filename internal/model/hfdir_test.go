package model

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

// TestHFDirReadsBack writes each shape as a Hugging Face folder and reads its
// config.json back.
func TestHFDirReadsBack(t *testing.T) {
	for _, s := range shape.Shapes() {
		cfg, err := hfConfig(s.Config, gguf.BFloat16)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		b, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := shape.FromHFConfig(b)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if diff := cmp.Diff(s.Config, got); diff != "" {
			t.Errorf("%s changed (-want +got):\n%s", s.Name, diff)
		}
	}
}

func TestWriteHFDir(t *testing.T) {
	s, _ := shape.Lookup("tiny-llama")
	dir := filepath.Join(t.TempDir(), "m")
	for range 2 { // the second replaces the first
		if err := WriteHFDir(dir, s.Config, gguf.BFloat16); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if c, err := shape.FromHFFolder(dir); err != nil || c != s.Config {
		t.Errorf("%+v, %v", c, err)
	}
	if err := WriteHFDir(dir, s.Config, gguf.Q4_0); fault.Class(err) != codes.ClassUnsupportedDType {
		t.Errorf("q4_0: %v", err)
	}
}

// TestHFDirWithTransformers builds every shape with the real library: the tiny ones for a few generated tokens,
// the others without memory for counting.
func TestHFDirWithTransformers(t *testing.T) {
	python := os.Getenv("LLEM_TEST_PYTHON")
	if python == "" {
		t.Skip("LLEM_TEST_PYTHON does not name a Python with torch and transformers")
	}
	type folder struct {
		Dir    string  `json:"dir"`
		Total  int64   `json:"total"`
		Run    bool    `json:"run"`
		Global float64 `json:"global"`
		Local  float64 `json:"local"`
		Full   int     `json:"full"`
	}
	var job struct {
		Folders []folder `json:"folders"`
		Texts   []string `json:"texts"`
	}
	root := t.TempDir()
	for _, s := range shape.Shapes() {
		dir := filepath.Join(root, s.Name)
		if err := WriteHFDir(dir, s.Config, gguf.BFloat16); err != nil {
			t.Fatal(err)
		}
		full, _ := s.Config.SplitLayers()
		job.Folders = append(job.Folders,
			folder{dir, s.Config.Parameters().Total, s.Source == "", s.Config.RopeTheta, s.Config.RopeLocalTheta, full})
	}
	for _, text := range sampleTexts {
		job.Texts = append(job.Texts, text)
	}
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/check_hf.py")
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "TRANSFORMERS_VERBOSITY=error", "CUDA_VISIBLE_DEVICES=")
	cmd.Stdin = bytes.NewReader(in)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("%v\n%s\n%s", err, out, errOut.Bytes())
	}
}
