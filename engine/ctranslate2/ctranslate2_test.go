package ctranslate2

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/note"
)

// testPython names an interpreter that has ctranslate2.
func testPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("LLEM_TEST_PYTHON")
	if python == "" {
		t.Skip("LLEM_TEST_PYTHON does not name a Python with ctranslate2")
	}
	return python
}

// spec is a random model of a shape.
func spec(t *testing.T, name string) backend.Spec {
	t.Helper()
	shape, err := shape.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), shape.Name)
	if err := model.WriteHFDir(dir, shape.Config, gguf.Float32); err != nil {
		t.Fatal(err)
	}
	return backend.Spec{Model: "random:" + name, Path: dir, Synthetic: true, DType: "float32", Seed: 1,
		Options: json.RawMessage(`{"device":"cpu","intra_threads":1}`)}
}

func conforms(t *testing.T, b launcher) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	s := spec(t, "tiny-llama")
	backendtest.Run(t, backendtest.Suite{Backend: b, Spec: s, Tokens: model.ByteTokenizer{}.Encode,
		Noisy: launcher{Python: noisy(t, b.Python)}})
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// noisy wraps python so that a thread keeps printing to standard output.
func noisy(t *testing.T, python string) string {
	t.Helper()
	dir := t.TempDir()
	const customize = `
import threading, time

def chatter():
    while True:
        print('{"event": "noise"}', flush=True)
        time.sleep(0.001)

threading.Thread(target=chatter, daemon=True).start()
`
	if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), []byte(customize), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "python")
	text := "#!/bin/sh\necho hello; PYTHONPATH=\"" + dir + ":$PYTHONPATH\" exec '" + python + "' \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConformance runs the suite against CTranslate2 itself.
func TestConformance(t *testing.T) { conforms(t, launcher{Python: testPython(t)}) }

// anyPython returns an interpreter without packages: it finds the fakes in testdata.
func anyPython(t *testing.T) string {
	t.Helper()
	python, err := launcher{}.interpreter(t.Context())
	if err != nil {
		t.Skip(err)
	}
	fakes, err := filepath.Abs("testdata/fake")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", fakes)
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	return python
}

// TestFake runs the suite without CTranslate2.
func TestFake(t *testing.T) { conforms(t, launcher{Python: anyPython(t)}) }

// TestAutoDType: dtype auto is a type that the device computes in; CTranslate2 has no 16 bits on a CPU.
func TestAutoDType(t *testing.T) {
	s := spec(t, "tiny-llama")
	s.DType = "auto"
	session, err := launcher{Python: anyPython(t)}.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if got := session.Loaded().DType; got != "float32" {
		t.Errorf("dtype %q, want float32", got)
	}
	s.BatchSize = 3
	if err := backend.Adapt(t.Context(), session, s); err != nil {
		t.Errorf("another batch size: %v", err)
	}
}

// TestScripts runs the worker's own tests, on the fake and on CTranslate2 itself.
func TestScripts(t *testing.T) {
	for name, python := range map[string]func(*testing.T) string{"fake": anyPython, "real": testPython} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), python(t), "-B", "-m", "unittest", "discover", "-p", "*_test.py")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestMissing: an interpreter without the package is reported.
func TestMissing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	python, err := launcher{}.interpreter(t.Context())
	if err != nil {
		t.Skip(err)
	}
	bare := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(bare, []byte("#!/bin/sh\nexec '"+python+"' -S -I \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = launcher{Python: bare}.Probe(t.Context())
	if class(t, err) != codes.ClassNotInstalled || !strings.Contains(err.Error(), "cannot import ctranslate2") {
		t.Errorf("Probe() = %v", err)
	}
}

// TestSection: the descriptor is consistent, and the section refuses conflicting values.
func TestSection(t *testing.T) {
	d := Descriptor()
	if err := engine.Check(d); err != nil {
		t.Error(err)
	}
	for section, want := range map[string]string{
		`{}`:                                     "",
		`{"device":"cpu","compute_type":"int8"}`: "",
		`{"device":"cpu","compute_type":"int8_float16"}`: "ctranslate2.compute_type",
		`{"device":"cpu","flash_attention":true}`:        "ctranslate2.flash_attention",
		`{"device":"cpu"}`:                               "dtype",
	} {
		s, err := about.Read(&d, engine.JSON(section))
		if err != nil {
			t.Fatal(err)
		}
		dtype := "float32"
		if want == "dtype" {
			dtype = "bfloat16"
		}
		if c := about.Conflicts(&d, s, engine.Job{DType: dtype}); (c == nil) != (want == "") ||
			c != nil && c.Key != want {
			t.Errorf("%s: %+v, want a conflict of %q", section, c, want)
		}
	}
}

func class(t *testing.T, err error) note.Class {
	t.Helper()
	f, ok := errors.AsType[*note.Failure](err)
	if !ok {
		t.Fatalf("error %v is not a failure", err)
	}
	if f.Next == "" {
		t.Errorf("failure %q has no hint", f.Message)
	}
	return f.Class
}

// TestShapes: random models of each supported architecture can be built, others are refused.
func TestShapes(t *testing.T) {
	b := launcher{Python: testPython(t)}
	for name, want := range map[string]note.Class{"tiny-llama": "", "tiny-qwen2": "", "smollm2-135m": "",
		"tiny-gemma3": codes.ClassUnsupportedModel, "tiny-qwen3": codes.ClassUnsupportedModel} {
		t.Run(name, func(t *testing.T) {
			s := spec(t, name)
			s.MaxContext, s.BatchSize = 64, 2
			session, err := b.Start(t.Context(), s)
			if want != "" {
				if got := class(t, err); got != want || !strings.Contains(err.Error(), name) {
					t.Errorf("Start() = %v (%s), want %s", err, got, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			shape, _ := shape.Lookup(name)
			if got, want := session.Loaded().Parameters, shape.Config.Parameters().Total; got != want {
				t.Errorf("%d parameters, the shape has %d", got, want)
			}
			work := backend.Workload{OutputTokens: 5, Requests: []backend.Prompt{{ID: 1, Tokens: []int32{5, 6, 7}},
				{ID: 2, Tokens: []int32{8, 9, 10}}}}
			log, err := session.Run(t.Context(), work)
			if err != nil {
				t.Fatal(err)
			}
			if len(log.Steps) != 5 || log.Steps[0].PrefillTokens != 6 || log.Steps[0].DecodeTokens != 0 {
				t.Errorf("steps %+v, want one of prefill and four of decoding", log.Steps)
			}
			if log.PeakMemoryBytes < session.Loaded().WeightBytes || log.MemorySource == "" {
				t.Errorf("peak memory %d (%s) is below the weights' %d", log.PeakMemoryBytes, log.MemorySource,
					session.Loaded().WeightBytes)
			}
		})
	}
}

// TestFolder: a folder with weights is converted once and gives the same tokens as transformers; a model that the
// converter does not know is refused.
func TestFolder(t *testing.T) {
	b := launcher{Python: testPython(t)}
	t.Setenv("LLEM_CACHE", t.TempDir())
	s := spec(t, "tiny-llama")
	// Two prompts of unequal length in one batch, and the result of the library's own loop for each.
	const write = `
import json, sys, torch, transformers
folder = sys.argv[1]
torch.manual_seed(3)
config = transformers.AutoConfig.from_pretrained(folder)
config.initializer_range, config.tie_word_embeddings = 0.4, False
model = transformers.AutoModelForCausalLM.from_config(config).eval()
model.save_pretrained(folder)
model.generation_config.eos_token_id, model.generation_config.pad_token_id = None, 0
for prompt in ([65, 66, 67, 68, 69, 70, 71], [80, 81, 82]):
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=6, max_new_tokens=6)
    print(json.dumps(out[0, len(prompt):].tolist()))
`
	out, err := exec.CommandContext(t.Context(), b.Python, "-c", write, s.Path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]int32
	for line := range strings.Lines(strings.TrimSpace(string(out))) {
		var ids []int32
		if json.Unmarshal([]byte(line), &ids) == nil {
			want = append(want, ids)
		}
	}
	s.Synthetic, s.MaxContext, s.BatchSize = false, 64, 2
	work := backend.Workload{OutputTokens: 6, Requests: []backend.Prompt{
		{ID: 1, Tokens: []int32{65, 66, 67, 68, 69, 70, 71}}, {ID: 2, Tokens: []int32{80, 81, 82}}}}
	cache := filepath.Join(os.Getenv("LLEM_CACHE"), name)
	var first []os.DirEntry
	for range 2 {
		session, err := b.Start(t.Context(), s)
		if err != nil {
			t.Fatalf("%v\n%s", err, fault.As(err).LogTail)
		}
		log, err := session.Run(t.Context(), work)
		if closeErr := session.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		if len(want) != 2 || !slices.Equal(log.Requests[0].Output, want[0]) ||
			!slices.Equal(log.Requests[1].Output, want[1]) {
			t.Errorf("%v and %v, transformers gives %v", log.Requests[0].Output, log.Requests[1].Output, want)
		}
		kept, err := os.ReadDir(cache)
		if err != nil || len(kept) != 1 || first != nil && kept[0].Name() != first[0].Name() {
			t.Errorf("kept %v, %v, want one conversion", kept, err)
		}
		first = kept
	}
	config := `{"model_type": "mamba", "architectures": ["MambaForCausalLM"], "vocab_size": 300, "hidden_size": 32}`
	if err := os.WriteFile(filepath.Join(s.Path, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Start(t.Context(), s); class(t, err) != codes.ClassUnsupportedModel {
		t.Errorf("Start() = %v, want the converter's refusal", err)
	}
	if kept, _ := os.ReadDir(cache); len(kept) != 1 {
		t.Errorf("kept %v: something is left of the refused one", kept)
	}
}

// TestRefused: impossible settings are refused before anything is loaded.
func TestRefused(t *testing.T) {
	b := launcher{Python: testPython(t)}
	for name, q := range map[string]struct {
		change func(*backend.Spec)
		want   note.Class
	}{
		"no folder":  {func(s *backend.Spec) { s.Path += "-absent" }, codes.ClassModelNotFound},
		"no weights": {func(s *backend.Spec) { s.Synthetic = false }, codes.ClassModelNotFound},
		"dtype":      {func(s *backend.Spec) { s.DType = "q4_0" }, codes.ClassUnsupportedDType},
		"device":     {func(s *backend.Spec) { s.Options = []byte(`{"device":"cuda:99"}`) }, codes.ClassNoDevice},
		"compute type": {func(s *backend.Spec) { s.Options = []byte(`{"device":"cpu","compute_type":"int8_float16"}`) },
			codes.ClassUnsupportedDType},
		"flash attention": {func(s *backend.Spec) { s.Options = []byte(`{"device":"cpu","flash_attention":true}`) },
			codes.ClassConfig},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(t, "tiny-llama")
			q.change(&s)
			if _, err := b.Start(t.Context(), s); class(t, err) != q.want {
				t.Errorf("Start() = %v, want class %s", err, q.want)
			}
		})
	}
}

// TestInt8: the weights are quantised when they are read, and the engine reports it.
func TestInt8(t *testing.T) {
	b := launcher{Python: testPython(t)}
	s := spec(t, "tiny-llama")
	s.MaxContext, s.Options = 64, []byte(`{"device":"cpu","intra_threads":1,"compute_type":"int8"}`)
	session, err := b.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	l := session.Loaded()
	if l.Settings["compute_type"] != "int8_float32" || l.DType != "float32" || l.WeightBytes > l.Parameters*2 {
		t.Errorf("loaded %+v: want int8", l)
	}
}
