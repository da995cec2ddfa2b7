package ctranslate2

import (
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
)

// variable names the interpreter of this engine alone.
const variable = "LLEM_PYTHON_CTRANSLATE2"

// Section holds the settings of CTranslate2 in a study.
type Section struct {
	// BatchSize is the number of sequences that are processed together.
	BatchSize int
	// Device is auto (CUDA where there is a GPU), cuda, cuda:N or cpu.
	Device string
	// ComputeType is what the engine computes in; "" is the dtype of the experiment.
	ComputeType string
	// IntraThreads is the number of threads; 0 leaves it to llem.
	IntraThreads int
	// FlashAttention uses the kernels of FlashAttention 2.
	FlashAttention engine.Toggle
}

// Fields implements engine.Section.
func (s *Section) Fields() []engine.Field {
	return append([]engine.Field{
		engine.Whole(&s.BatchSize, "batch_size", 1, engine.ManySequences, "sequences processed together"),
		engine.Pattern(&s.Device, "device", "auto, cpu, cuda or cuda:N", `^(auto|cpu|cuda(:(0|[1-9][0-9]{0,8}))?)$`,
			"auto takes CUDA where there is a GPU", "auto", "cpu", "cuda"),
		engine.Whole(&s.IntraThreads, "intra_threads", 0, 4096, "threads of a batch; 0 is one per physical core"),
	}, engine.Optional(
		engine.Choice(&s.ComputeType, "compute_type", "what products are computed in; left out, the dtype",
			"float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"),
		engine.Switch(&s.FlashAttention, "flash_attention", "attention by the kernels of FlashAttention 2, on a GPU"),
	)...)
}

// Descriptor is what the program knows about this engine.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: Name, Title: "CTranslate2", Summary: "a C++ engine in a Python worker",
		Section:  func() engine.Section { return &Section{BatchSize: 1, Device: "auto"} },
		Conflict: conflict,
		Forget: func(s engine.Section) bool {
			s.(*Section).BatchSize = 0
			return true
		},
		Settle: settle,
		Greedy: true,
		GPU:    func(s engine.Section) bool { return s.(*Section).Device != "cpu" },
		Demands: func(s engine.Section) bool {
			device := s.(*Section).Device
			return device != "auto" && device != "cpu"
		},
		Program:  "python3",
		Install:  "python3 -m venv ct2 && ct2/bin/pip install ctranslate2 tokenizers; then --python ct2/bin/python",
		Variable: variable, Packages: []string{"ctranslate2"},
		New: func(e engine.Env) backend.Backend { return Backend{Python: e.Own(variable)} },
	}
}

// settle fills in the batch size and, where the study leaves them open, the threads.
func settle(section engine.Section, batch, threads int) {
	s := section.(*Section)
	s.BatchSize = batch
	if s.IntraThreads == 0 {
		s.IntraThreads = threads
	}
}

func conflict(section engine.Section, j engine.Job) *engine.Conflict {
	s := section.(*Section)
	switch {
	case s.FlashAttention == engine.On && s.Device == "cpu":
		return engine.Conflictf("ctranslate2.flash_attention", "leave it out, or use a GPU",
			"ctranslate2.flash_attention needs a GPU, but ctranslate2.device is cpu")
	case s.Device == "cpu" && s.ComputeType == "" && (j.DType == "float16" || j.DType == "bfloat16"):
		return engine.Conflictf("dtype", "use dtype: float32, or ctranslate2.compute_type: int8",
			"dtype is %s, but CTranslate2 does not compute in it on a CPU", j.DType)
	case s.Device == "cpu" && strings.HasSuffix(s.ComputeType, "float16"):
		return engine.Conflictf("ctranslate2.compute_type", "use float32 or int8_float32 on a CPU",
			"ctranslate2.compute_type %s needs a GPU, but ctranslate2.device is cpu", s.ComputeType)
	}
	return nil
}
