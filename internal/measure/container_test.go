package measure

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/study"
)

func TestGPUsOfContainer(t *testing.T) {
	torch := func(device string) study.Experiment {
		return study.Experiment{Backend: study.PyTorch, PyTorch: &study.PyTorchSection{Device: device}}
	}
	two := []string{"GPU-a", "GPU-b"}
	tests := []struct {
		name     string
		e        study.Experiment
		measured []string
		driver   bool
		want     []string
	}{
		{"embedded", study.Experiment{Backend: study.Embedded}, two, true, nil},
		{"on the processor", torch("cpu"), two, true, nil},
		{"measured", torch("auto"), two, true, two},
		{"asked for, not measured", torch("cuda"), nil, false, []string{"all"}},
		{"server, not measured", study.Experiment{Backend: study.VLLM}, nil, true, []string{"all"}},
		{"no driver", torch("auto"), nil, false, nil},
		{"server without a driver", study.Experiment{Backend: study.LlamaCpp}, nil, false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, gpusFor(test.e, test.measured, test.driver)); diff != "" {
				t.Errorf("GPUs (-want +got):\n%s", diff)
			}
		})
	}
}
