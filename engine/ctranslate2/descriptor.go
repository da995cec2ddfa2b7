package ctranslate2

import (
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/option"
)

// variable names the interpreter for this engine only.
const variable = "LLEM_PYTHON_CTRANSLATE2"

// settings holds the settings of CTranslate2 in a study.
type settings struct {
	// batchSize is the number of sequences per batch.
	batchSize int
	// device is auto (CUDA if there is a GPU), cuda, cuda:N or cpu.
	device string
	// computeType is the format that the engine computes in; "" is the dtype of the experiment.
	computeType string
	// intraThreads is the number of threads; 0 leaves it to llem.
	intraThreads int
	// flashAttention uses the FlashAttention 2 kernels.
	flashAttention engine.Toggle
}

// Fields implements engine.Section.
func (s *settings) Fields() []engine.Field {
	return append([]engine.Field{
		engine.Whole(&s.batchSize, "batch_size", 1, option.ManySequences, "sequences per batch"),
		engine.Pattern(&s.device, "device", "auto, cpu, cuda or cuda:N", `^(auto|cpu|cuda(:(0|[1-9][0-9]{0,8}))?)$`,
			"auto takes CUDA if there is a GPU", "auto", "cpu", "cuda"),
		engine.Whole(&s.intraThreads, "intra_threads", 0, 4096, "threads of a batch; 0 is one per physical core"),
	}, engine.Optional(
		engine.Choice(&s.computeType, "compute_type", "format of products; default: the dtype",
			"float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"),
		engine.Switch(&s.flashAttention, "flash_attention", "attention with the FlashAttention 2 kernels, on a GPU"),
	)...)
}

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: name, Title: "CTranslate2", Summary: "a C++ engine in a Python worker",
		Lacks: map[string]string{
			"lora": "CTranslate2 does not load adapters: they are merged into the weights when a model " +
				"is converted",
			"decoding.min_p": "CTranslate2 has no such bound",
		},
		Decoding: map[string]string{"temperature": "", "top_p": "", "top_k": "",
			"seed": "taken once, when an engine first draws: a second run on it draws others",
			"repetition_penalty": "of output tokens, and in a batch of unequal prompts of what a prompt has beyond " +
				"the shortest"},
		Section:  func() engine.Section { return &settings{batchSize: 1, device: "auto"} },
		Conflict: conflict,
		Forget: func(s engine.Section) bool {
			s.(*settings).batchSize = 0
			return true
		},
		Settle:       settle,
		ChoosesDType: true,
		GPU:          func(s engine.Section) bool { return s.(*settings).device != "cpu" },
		Demands: func(s engine.Section) bool {
			device := s.(*settings).device
			return device != "auto" && device != "cpu"
		},
		Program:  "python3",
		Variable: variable,
		Packages: []string{"ctranslate2"},
		New:      func(e engine.Env) backend.Backend { return launcher{Python: e.Own(variable)} },
	}
}

// settle fills in the batch size and, if the study does not set them, the threads.
func settle(section engine.Section, batch, threads int) {
	s := section.(*settings)
	s.batchSize = batch
	if s.intraThreads == 0 {
		s.intraThreads = threads
	}
}

func conflict(section engine.Section, j engine.Job) *engine.Conflict {
	s := section.(*settings)
	switch {
	case s.flashAttention == engine.On && s.device == "cpu":
		return engine.Conflictf("ctranslate2.flash_attention", "leave it out, or use a GPU",
			"ctranslate2.flash_attention needs a GPU, but ctranslate2.device is cpu")
	case s.device == "cpu" && s.computeType == "" && (j.DType == "float16" || j.DType == "bfloat16"):
		return engine.Conflictf("dtype", "use dtype: float32, or ctranslate2.compute_type: int8",
			"CTranslate2 does not run dtype %s on a CPU", j.DType)
	case s.device == "cpu" && strings.HasSuffix(s.computeType, "float16"):
		return engine.Conflictf("ctranslate2.compute_type", "use float32 or int8_float32 on a CPU",
			"ctranslate2.compute_type %s needs a GPU, but ctranslate2.device is cpu", s.computeType)
	}
	return nil
}
