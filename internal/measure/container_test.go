package measure

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/study"
)

func TestGPUsOfContainer(t *testing.T) {
	torch := func(device string) study.Experiment {
		return study.Experiment{Backend: "pytorch", Section: engine.JSON(
			`{"batch_size":1,"attn_implementation":"sdpa","device":"` + device + `"}`)}
	}
	two := []string{"GPU-a", "GPU-b"}
	tests := []struct {
		name     string
		e        study.Experiment
		measured []string
		driver   bool
		want     []string
	}{
		{"embedded", study.Experiment{Backend: "embedded", Section: "{}"}, two, true, nil},
		{"on the processor", torch("cpu"), two, true, nil},
		{"measured", torch("auto"), two, true, two},
		{"asked for, not measured", torch("cuda"), nil, false, []string{"all"}},
		{"server, not measured", study.Experiment{Backend: "vllm", Section: "{}"}, nil, true, []string{"all"}},
		{"no driver", torch("auto"), nil, false, nil},
		{"server without a driver", study.Experiment{Backend: "llamacpp", Section: "{}"}, nil, false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := gpusFor(engines.Find(nil, test.e.Backend), test.e.Section, test.measured, test.driver)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("GPUs (-want +got):\n%s", diff)
			}
		})
	}
}
