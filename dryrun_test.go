package llem

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/engine/llamacpp"
	"github.com/llenergymeasure/llem/engine/sglang"
	"github.com/llenergymeasure/llem/engine/tensorrt"
	"github.com/llenergymeasure/llem/engine/vllm"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// TestOccupied: others on a GPU are named, and memory that nobody seems to hold.
func TestOccupied(t *testing.T) {
	much, little := int64(30<<30), int64(600<<20)
	got := occupied(nil, map[string]power.GPUFacts{
		"gpu0": {Processes: []power.GPUProcess{{PID: 42}, {PID: 43}}, MemoryUsedBytes: &much},
		"gpu1": {Processes: []power.GPUProcess{}, MemoryUsedBytes: &much},
		"gpu2": {Processes: []power.GPUProcess{}, MemoryUsedBytes: &little},
		"gpu3": {},
	})
	want := []string{"gpu0 is used by other processes (42, 43, 30.0 GiB of its memory in use)",
		"gpu1 may be used by others, whose processes are not visible, 30.0 GiB"}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, q := range got {
		if q.Error || !strings.HasPrefix(q.Message, want[i]) {
			t.Errorf("%q, want %q", q.Message, want[i])
		}
	}
}

// TestSamplingIsRefused where a backend takes the most likely token, whatever it is told.
// The others are given it; their tests look at the requests.
func TestSamplingIsRefused(t *testing.T) {
	sample := []string{vllm.Name, sglang.Name, tensorrt.Name, llamacpp.Name}
	for name := range Backends("") {
		if slices.Contains(sample, name) {
			continue
		}
		_, err := study.Parse("s.yaml",
			[]byte("model: random:tiny-llama\nbackend: "+name+"\ndecoding: {temperature: 0.7}\n"))
		if err == nil || !strings.Contains(err.Error(), "takes the most likely token only") {
			t.Errorf("%s: %v: a temperature that is accepted must be given to the engine", name, err)
		}
	}
}
