package study_test

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/study"
)

// TestLacks: a key that other engines have is refused with the reason and the engines that have it, in a file and as a
// setting; an adapter is part of an experiment's ID, but its absence is not.
func TestLacks(t *testing.T) {
	for _, name := range []string{"embedded", "fake", "ctranslate2", "tensorrt"} {
		text := "model: random:tiny-llama\nbackend: " + name + "\n" + name + ": {lora: random:8}\n"
		_, err := study.Parse("s.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), `unknown key "`+name+`.lora": `) ||
			!strings.Contains(err.Error(), "use one of the backends pytorch, vllm, ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ids := map[string]string{}
	for _, name := range []string{"pytorch", "vllm", "sglang", "llamacpp"} {
		for _, lora := range []string{"", "none", "random:8", "random:16"} {
			text := "model: random:tiny-llama\nbackend: " + name + "\n"
			if lora != "" {
				text += name + ": {lora: '" + lora + "'}\n"
			}
			s, err := study.Parse("s.yaml", []byte(text))
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			id := s.Experiments[0].ID()
			if other, ok := ids[id]; ok != (lora == "none") {
				t.Errorf("%s has the ID of %q", text, other)
			}
			ids[id] = text
		}
	}
}
