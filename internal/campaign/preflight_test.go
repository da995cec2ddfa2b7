package campaign

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/study"
)

// TestPreflight: every mistake of a study at once, and each once.
func TestPreflight(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short := file("short.jsonl", "{\"prompt\": \"one\"}\n")
	bad := file("bad.jsonl", "{\"prompt\": \"one\"}\n{\"prompt\": \n")
	enough := file("enough.jsonl", strings.Repeat("{\"prompt\": \"one\"}\n", 8))
	for name, q := range map[string]struct {
		change func(e []study.Experiment)
		want   []string // one per mistake
	}{
		"nothing wrong": {func([]study.Experiment) {}, nil},
		"data set":      {func(e []study.Experiment) { e[0].Workload.Dataset = enough }, nil},
		"no such shape, twice": {func(e []study.Experiment) {
			e[0].Model, e[1].Model = "random:tiny-lama",
				"random:tiny-lama"
		},
			[]string{"tiny-lama"}},
		"no such file": {func(e []study.Experiment) { e[0].Model = filepath.Join(dir, "none.gguf") },
			[]string{"none.gguf"}},
		"no such data set": {func(e []study.Experiment) { e[0].Workload.Dataset = filepath.Join(dir, "none.jsonl") },
			[]string{"none.jsonl"}},
		"bad line":  {func(e []study.Experiment) { e[0].Workload.Dataset = bad }, []string{"bad.jsonl:2"}},
		"too short": {func(e []study.Experiment) { e[0].Workload.Dataset = short }, []string{"short.jsonl"}},
		"two things": {func(e []study.Experiment) { e[0].Model, e[1].Workload.Dataset = "random:x", short },
			[]string{"\"x\"", "short.jsonl"}},
	} {
		s := newStudy(t, 2, onceInOrder)
		q.change(s.Experiments)
		err := Preflight(s, &extent.Files{})
		got, _ := errors.AsType[study.Errors](err)
		if len(got) != len(q.want) {
			t.Errorf("%s: %v, want %d mistakes", name, err, len(q.want))
			continue
		}
		for i, want := range q.want {
			if !strings.Contains(got[i].Error(), want) {
				t.Errorf("%s: mistake %d is %q, want it to name %q", name, i+1, got[i].Error(), want)
			}
		}
	}
}

// TestModelsOfEngines: each kind of model is taken by the engines that can load it and
// refused for the others, before anything is started.
func TestModelsOfEngines(t *testing.T) {
	dir := t.TempDir()
	shape, err := shape.Lookup("tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	only := filepath.Join(dir, "only")
	if err := os.Mkdir(only, 0o755); err != nil {
		t.Fatal(err)
	}
	file, folder := filepath.Join(only, "model.gguf"), filepath.Join(dir, "folder")
	if err := errors.Join(model.WriteGGUF(t.Context(), file, shape.Config, gguf.Float16, 1, nil),
		model.WriteHFDir(folder, shape.Config, gguf.BFloat16)); err != nil {
		t.Fatal(err)
	}
	novel, quantised := filepath.Join(dir, "novel"), filepath.Join(dir, "quantised")
	for path, config := range map[string]string{
		novel: `{"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"]`,
		quantised: `{"model_type": "llama", "architectures": ["LlamaForCausalLM"], ` +
			`"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}`,
	} {
		config += `, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, ` +
			`"intermediate_size": 128, "vocab_size": 256, "num_local_experts": 4, "num_experts_per_tok": 2}`
		if err := errors.Join(os.Mkdir(path, 0o755),
			os.WriteFile(filepath.Join(path, "config.json"), []byte(config), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	readsGGUF := map[string]bool{"embedded": true, "llamacpp": true}
	takesGGUF := map[string]bool{"embedded": true, "llamacpp": true, "fake": true} // fake computes nothing
	for _, d := range engines.All() {
		for name, q := range map[string]struct {
			model string
			taken bool
		}{
			"random":                {"random:tiny-llama", true},
			"a .gguf file":          {file, takesGGUF[d.Name]},
			"a folder with a .gguf": {only, takesGGUF[d.Name]},
			"a folder of the hub's": {folder, true},
			// Engines that read GGUF files get a converted one.
			"an architecture that is not converted": {novel, !readsGGUF[d.Name]},
			"weights that are not converted":        {quantised, !readsGGUF[d.Name]},
		} {
			e := study.DefaultExperiment(d)
			e.Model, e.Workload.Dataset = q.model, "synthetic"
			err := Preflight(&study.Study{Experiments: []study.Experiment{e}}, &extent.Files{})
			if (err == nil) != q.taken {
				t.Errorf("%s on %s: %v, want taken %t", name, d.Name, err, q.taken)
			}
		}
	}
}
