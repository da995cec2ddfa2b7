package machine

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/study"
)

// TestSamplingIsRefused where a backend takes the most likely token, whatever it is told.
// The others are given it; their tests look at the requests.
func TestSamplingIsRefused(t *testing.T) {
	sample := []string{"embedded", "pytorch", "fake", "vllm", "sglang", "tensorrt", "llamacpp", "ctranslate2"}
	for name := range Backends(nil, "") {
		if slices.Contains(sample, name) {
			continue
		}
		_, err := study.Parse("s.yaml",
			[]byte("model: random:tiny-llama\nbackend: "+name+"\ndecoding: {temperature: 0.7}\n"))
		if err == nil || !strings.Contains(err.Error(), "supports greedy decoding only") {
			t.Errorf("%s: %v: a temperature that is accepted must be given to the engine", name, err)
		}
	}
}

func TestBackendsKnowTheirNames(t *testing.T) {
	backends := Backends(nil, "")
	for _, name := range []string{"embedded", "pytorch"} {
		if b := backends[name]; b == nil || b.Name() != name {
			t.Errorf("backend %s is %+v", name, b)
		}
	}
}

// TestLoaders: one engine can keep a GPU busy for a self-test, with the interpreter that the
// user names.
func TestLoaders(t *testing.T) {
	l := Loaders("/no/python")
	if len(l) != 1 || l[0].Name() != "pytorch" {
		t.Fatalf("%d loaders: %+v, want pytorch", len(l), l)
	}
	if _, err := l[0].StartLoad(t.Context(), "cuda"); err == nil || !strings.Contains(err.Error(), "/no/python") {
		t.Errorf("%v: it takes another interpreter", err)
	}
}

// TestPackages: env.json has the versions of the packages of each engine and of packages that
// any engine may have, and no other.
func TestPackages(t *testing.T) {
	s, err := Snapshot(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(`accelerate amdsmi auto-gptq autoawq bitsandbytes compressed-tensors ctranslate2 cuda-python
		cupy-cuda12x datasets deepspeed flash-attn flash-attn-3 flashinfer-python gptqmodel hqq huggingface-hub
		intel-extension-for-pytorch jax jaxlib kernels llama-cpp-python llmcompressor mlx mlx-lm numpy
		nvidia-cublas-cu12 onnxruntime-gpu optimum optimum-intel outlines-core peft pynvml ray rocm-smi safetensors
		sentencepiece sgl-kernel sglang sglang-router tensorrt tensorrt-llm tokenizers torch torchvision transformers
		triton vllm vllm-flash-attn xformers xgrammar`)
	versions := map[string]string{}
	for _, name := range append(want, "requests", "mine", "jax-secret", "numpy-mine", "ctranslate2-mine", "raytracer",
		"python", "my-torch") {
		versions[name] = "1.0"
	}
	s.Merge(host.WorkerReport{PythonVersion: "3.12.4", Packages: versions})
	got := slices.Sorted(maps.Keys(s.Python.Packages))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	own, err := Snapshot(t.Context(), nil, engine.Descriptors{{Packages: []string{"mine"}}})
	if err != nil {
		t.Fatal(err)
	}
	own.Merge(host.WorkerReport{Packages: map[string]string{"mine": "2.0", "vllm": "1.0"}})
	if p := own.Python.Packages; len(p) != 1 || p["mine"] != "2.0" {
		t.Errorf("packages of a user's engine: %v", p)
	}
}
