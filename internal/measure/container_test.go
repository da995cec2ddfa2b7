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
		visible  string
		driver   bool
		want     []string
	}{
		{"embedded", study.Experiment{Backend: study.Embedded}, two, "", true, nil},
		{"on the processor", torch("cpu"), two, "GPU-a", true, nil},
		{"measured", torch("auto"), two, "", true, two},
		{"numbers are not passed on", torch("auto"), two[1:], "1", true, two[1:]},
		{"named", torch("cuda"), two, "GPU-b", true, two[1:]},
		{"part of one", torch("cuda"), two, "MIG-1,MIG-2", true, []string{"MIG-1", "MIG-2"}},
		{"asked for, not measured", torch("cuda"), nil, "", false, []string{"all"}},
		{"server, not measured", study.Experiment{Backend: study.VLLM}, nil, "0", true, []string{"all"}},
		{"no driver", torch("auto"), nil, "", false, nil},
		{"server without a driver", study.Experiment{Backend: study.LlamaCpp}, nil, "", false, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, gpusFor(test.e, test.measured, test.visible, test.driver)); diff != "" {
				t.Errorf("GPUs (-want +got):\n%s", diff)
			}
		})
	}
}
