package study

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/study/terms"
)

func TestImages(t *testing.T) {
	tests := []struct{ text, backend, want string }{
		{"", PyTorch, "llem-pytorch"},
		{"ghcr.io/me/torch:2.11", PyTorch, "ghcr.io/me/torch:2.11"},
		{"pytorch=a:1, vllm=b@sha256:00", VLLM, "b@sha256:00"},
		{"pytorch=a:1,b:2", VLLM, "b:2"},
		{"pytorch=a:1", Embedded, "llem-embedded"},
		{"pytorch=a:1", VLLM, "vllm/vllm-openai"},
		{"", LlamaCpp, "ghcr.io/ggml-org/llama.cpp:server-cuda"},
	}
	for _, test := range tests {
		e := Experiment{Backend: test.backend, Container: ContainerSection{Image: test.text}}
		if got := e.Image(descriptor(test.backend).Image); got != test.want {
			t.Errorf("image %q of %s = %q, want %q", test.text, test.backend, got, test.want)
		}
	}
}

func TestImageMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"pytroch=a":         "not a backend",
		"a,,b":              "empty part",
		"vllm=":             "empty part",
		"a,b":               "two values for all backends",
		"vllm=a,vllm=b":     "two values for vllm",
		"vllm=a b\x01=c\td": "control character",
	} {
		_, err := Load(Options{Settings: []Setting{{Flag: "-s", Key: "model", Value: "m/n"},
			{Flag: "-s", Key: "container.image", Value: text}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("container.image=%s: %v, want %q", text, err, want)
		}
	}
}

// TestRunnerInID: process was once the only runner, and its experiments keep their IDs. The source of an image
// does not change the experiment, but running in a container does.
func TestRunnerInID(t *testing.T) {
	e := defaultExperiment(Embedded)
	e.Model = "random:tiny-llama"
	id := e.ID()
	e.Runner, e.Container = "", ContainerSection{}
	if got := e.ID(); got != id {
		t.Errorf("ID without a runner is %s, as a process %s", got, id)
	}
	e.Runner = terms.RunContainer
	inside := e.ID()
	if inside == id {
		t.Error("a container has the ID of a process")
	}
	e.Container.Image = "a"
	if got := e.ID(); got != inside {
		t.Errorf("ID with another image is %s, want %s", got, inside)
	}
}
