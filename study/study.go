package study

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/llenergymeasure/llem/note"
)

// Backends that study files may name.
const (
	Embedded = "embedded"
	PyTorch  = "pytorch"
	VLLM     = "vllm"
	SGLang   = "sglang"
	TensorRT = "tensorrt"
	LlamaCpp = "llamacpp"
	// Fake computes nothing on a GPU that does not exist.
	Fake = "fake"
)

// Study is a list of experiments and how to run them.
type Study struct {
	Name        string       `json:"name"`
	Experiments []Experiment `json:"experiments"`
	Execution   Execution    `json:"execution"`
	// Merged counts points that equalled another one, and Duplicates names the
	// first [MaxListed] of them.
	Merged     int         `json:"merged,omitempty"`
	Duplicates []Duplicate `json:"duplicates,omitempty"`
	// Refused counts points whose values do not fit together, and Invalid names the
	// first [MaxListed] of them. They are not run; a study without any other point
	// is a mistake.
	Refused int       `json:"refused,omitempty"`
	Invalid []Invalid `json:"invalid,omitempty"`
	// Filtered counts points that a where condition, or a backend chosen on the
	// command line, left out.
	Filtered int `json:"filtered,omitempty"`
	// Unused are keys of the study files that belong to backends which the study does
	// not run.
	Unused []string `json:"unused,omitempty"`
	// BackendNamed says that the user chose the backend; otherwise it is the
	// default.
	BackendNamed bool `json:"-"`
}

// MaxListed is the most points that the lists of a [Study] name; its counts are
// complete.
const MaxListed = 100

// Duplicate is a point that means the same as an earlier one.
type Duplicate struct {
	// Point names what the sweep set, such as "embedded embedded.batch_size=8".
	Point string `json:"point"`
	// ID is that of the experiment which both are.
	ID string `json:"id"`
}

// Invalid is a point that cannot be run, and why.
type Invalid struct {
	// Point names what the sweep set.
	Point string `json:"point"`
	note.Note
}

// UnmarshalJSON also reads what earlier versions wrote: reason for message and hint for next.
func (i *Invalid) UnmarshalJSON(text []byte) error {
	type plain Invalid
	if err := json.Unmarshal(text, (*plain)(i)); err != nil {
		return err
	}
	return i.ReadEarlier(text)
}

// Experiment is one configuration to measure. All fields are resolved: nothing
// here depends on a default that is applied later. Only the section of the
// experiment's own backend is set. Experiments of a study share equal sections, so
// a section is copied before it is changed.
type Experiment struct {
	Model    string           `json:"model"`
	Backend  string           `json:"backend"`
	DType    string           `json:"dtype"`
	Workload Workload         `json:"workload"`
	Decoding Decoding         `json:"decoding"`
	Warmup   Warmup           `json:"warmup"`
	Baseline Baseline         `json:"baseline"`
	Energy   Energy           `json:"energy"`
	Seed     uint64           `json:"seed"`
	Embedded *EmbeddedSection `json:"embedded,omitempty"`
	PyTorch  *PyTorchSection  `json:"pytorch,omitempty"`
	VLLM     *VLLMSection     `json:"vllm,omitempty"`
	SGLang   *SGLangSection   `json:"sglang,omitempty"`
	TensorRT *TensorRTSection `json:"tensorrt,omitempty"`
	LlamaCpp *LlamaCppSection `json:"llamacpp,omitempty"`
	Fake     *FakeSection     `json:"fake,omitempty"`

	// Runner is what the engine runs as: process or container.
	Runner    string           `json:"runner,omitempty"`
	Container ContainerSection `json:"container,omitzero"`
}

// Workload is the fixed work that every engine gets.
type Workload struct {
	// Dataset is builtin, synthetic, or the path of a .jsonl or .json file.
	Dataset string `json:"dataset"`
	Prompts int    `json:"prompts"`
	// InputTokens is the exact length of a synthetic prompt, and the longest
	// that a prompt of a dataset may be.
	InputTokens int `json:"input_tokens"`
	// OutputTokens is forced: end-of-sequence tokens are ignored.
	OutputTokens int `json:"output_tokens"`
	// Concurrency is how many requests a server is sent at once: a new one follows as
	// soon as one ends. 0 sends all at once, and is all that other engines know.
	Concurrency int `json:"concurrency,omitempty"`
}

// Decoding says how tokens are chosen. Temperature 0 is greedy: then the other fields
// are 0, for they mean nothing. Engines that decode greedily only are refused another
// temperature.
type Decoding struct {
	Temperature float64 `json:"temperature"`
	// TopP and TopK bound the tokens to choose from by probability and by number; 0 does
	// not.
	TopP float64 `json:"top_p,omitempty"`
	TopK int     `json:"top_k,omitempty"`
	// Seed of the choice; 0 takes that of the experiment.
	Seed uint64 `json:"seed,omitempty"`
}

// Warmup is the number of discarded runs of the same workload.
type Warmup struct {
	Runs int `json:"runs"`
}

// Baseline is the time for which the idle machine is measured.
type Baseline struct {
	// Seconds before the engine is started.
	Seconds float64 `json:"seconds"`
	// ResidentSeconds with the model loaded, before the warm-up.
	ResidentSeconds float64 `json:"resident_seconds"`
	// MaxAgeSeconds is how old a baseline of an earlier run may be to be used
	// again, once a short look has confirmed it; 0 always measures.
	MaxAgeSeconds float64 `json:"max_age_seconds"`
}

// Energy says what is measured and what the results are converted to.
type Energy struct {
	// Sources is auto (every sensor that can be read) or none.
	Sources string `json:"sources"`
	// MinWindow is the least length of the measured window in seconds: a shorter
	// workload is repeated. 0 takes what a self-test of the sensors asks for.
	MinWindow float64 `json:"min_window"`
	// Remote lists metrics pages that are read beside the sensors of this machine, in
	// the grammar of docs/power.md; empty: none. It is no part of the ID: where a
	// check comes from does not change what is measured.
	Remote string `json:"remote,omitempty"`
	// CarbonIntensity in grams of CO2-equivalent per kilowatt-hour; 0: not stated.
	CarbonIntensity float64 `json:"carbon_intensity_g_per_kwh"`
	// PUE is the power usage effectiveness of the building; it scales carbon and
	// cost, never the measured energy.
	PUE float64 `json:"pue"`
	// PricePerKWh is in the user's currency; 0: not stated.
	PricePerKWh float64 `json:"price_per_kwh"`
}

// EmbeddedSection holds the settings of the embedded engine.
type EmbeddedSection struct {
	BatchSize int `json:"batch_size"`
	// Threads is the number of engine threads; 0 is one per usable physical core.
	Threads int `json:"threads"`
	// PrefillChunk is the most prompt tokens in one engine step.
	PrefillChunk int `json:"prefill_chunk"`
}

// PyTorchSection holds the settings of the PyTorch engine.
type PyTorchSection struct {
	BatchSize          int    `json:"batch_size"`
	AttnImplementation string `json:"attn_implementation"`
	// Device is auto (CUDA where there is a GPU), cuda, cuda:N or cpu.
	Device string `json:"device"`

	// The zero values of the following are the defaults that their keys name, so that
	// experiments of earlier versions keep their IDs.

	// Batching is "" (static) or continuous.
	Batching string `json:"batching,omitempty"`
	// CacheImplementation is "" (dynamic) or static.
	CacheImplementation string `json:"cache_implementation,omitempty"`
	// Compile is "" (off) or a mode of torch.compile for the decode step.
	Compile string `json:"compile,omitempty"`
	// Quantization of the weights is "" (none) or a library with a format.
	Quantization string `json:"quantization,omitempty"`
	// MatmulPrecision is "" (highest), high or medium.
	MatmulPrecision string `json:"matmul_precision,omitempty"`
	// Threads of the host; 0 leaves them to PyTorch.
	Threads int `json:"threads,omitempty"`
	// PrefillChunkSize is the most columns of a batch in one forward pass of prefill;
	// 0: all of them.
	PrefillChunkSize int `json:"prefill_chunk_size,omitempty"`
	// DeviceMap is "" (single) or auto, which spreads the layers over all visible GPUs.
	DeviceMap string `json:"device_map,omitempty"`
	// TensorParallelSize is the number of processes, each with a GPU, that share every
	// layer; 0 is 1.
	TensorParallelSize int `json:"tensor_parallel_size,omitempty"`
}

// Knobs are the settings by which the model runs otherwise than the library runs it by
// default, and than the estimates before a run take it to: KEY=VALUE.
func (p PyTorchSection) Knobs() []string {
	var out []string
	for _, k := range [][2]string{
		{"batching", p.Batching}, {"cache_implementation", p.CacheImplementation}, {"compile", p.Compile},
		{"quantization", p.Quantization}, {"matmul_precision", p.MatmulPrecision}, {"threads", strconv.Itoa(p.Threads)},
		{"prefill_chunk_size", strconv.Itoa(p.PrefillChunkSize)}, {"device_map", p.DeviceMap},
		{"tensor_parallel_size", strconv.Itoa(p.TensorParallelSize)},
	} {
		if k[1] != "" && k[1] != "0" {
			out = append(out, k[0]+"="+k[1])
		}
	}
	return out
}

// FakeSection holds the settings of the simulated engine.
type FakeSection struct {
	BatchSize int `json:"batch_size"`
	// Batching is static or continuous.
	Batching string `json:"batching"`
	// Speed divides the duration of every step.
	Speed float64 `json:"speed"`
}

// DefaultExperiment is what a study gets that names only a model.
func DefaultExperiment() Experiment {
	return Experiment{
		Backend:  Embedded,
		DType:    DTypeAuto,
		Workload: Workload{Dataset: "builtin", Prompts: 16, InputTokens: 256, OutputTokens: 64},
		Warmup:   Warmup{Runs: 1},
		Baseline: Baseline{Seconds: 5, ResidentSeconds: 3, MaxAgeSeconds: usualBaselineAge},
		Energy:   Energy{Sources: "auto", PUE: 1},
		Seed:     1,
		Embedded: &EmbeddedSection{BatchSize: 1, PrefillChunk: 512},
		PyTorch:  &PyTorchSection{BatchSize: 1, AttnImplementation: "sdpa", Device: "auto"},
		Fake:     &FakeSection{BatchSize: 1, Batching: "static", Speed: 1},

		Runner:    RunProcess,
		Container: ContainerSection{Client: ClientAuto},
	}
}

// usualBaselineAge in seconds.
const usualBaselineAge = 1800

// DTypeAuto stands for the backend's usual type: what a .gguf file holds,
// float16 for other models on the embedded engine, bfloat16 on PyTorch.
const DTypeAuto = "auto"

// BatchSize is the most sequences that are processed together; 0 leaves it to the
// engine.
func (e Experiment) BatchSize() int {
	switch e.Backend {
	case Embedded:
		return e.Embedded.BatchSize
	case PyTorch:
		return e.PyTorch.BatchSize
	case VLLM:
		return e.VLLM.MaxNumSeqs
	case SGLang:
		return e.SGLang.MaxRunningRequests
	case TensorRT:
		return e.TensorRT.MaxBatchSize
	case LlamaCpp:
		return e.LlamaCpp.Parallel
	case Fake:
		return e.Fake.BatchSize
	}
	return 1
}

// BatchText is the batch size for a person.
func (e Experiment) BatchText() string {
	if n := e.BatchSize(); n > 0 {
		return strconv.Itoa(n)
	}
	return "auto"
}

// Section is the backend's own section as JSON.
func (e Experiment) Section() json.RawMessage {
	var section any
	switch e.Backend {
	case Embedded:
		section = e.Embedded
	case PyTorch:
		section = e.PyTorch
	case VLLM:
		section = e.VLLM
	case SGLang:
		section = e.SGLang
	case TensorRT:
		section = e.TensorRT
	case LlamaCpp:
		section = e.LlamaCpp
	case Fake:
		section = e.Fake
	}
	b, err := json.Marshal(section)
	if err != nil {
		panic(fmt.Sprintf("marshal the %s section: %v", e.Backend, err)) // plain structs marshal
	}
	return b
}

// own drops the sections of other backends.
func (e Experiment) own() Experiment {
	if e.Backend != Embedded {
		e.Embedded = nil
	}
	if e.Backend != PyTorch {
		e.PyTorch = nil
	}
	if e.Backend != VLLM {
		e.VLLM = nil
	}
	if e.Backend != SGLang {
		e.SGLang = nil
	}
	if e.Backend != TensorRT {
		e.TensorRT = nil
	}
	if e.Backend != LlamaCpp {
		e.LlamaCpp = nil
	}
	if e.Backend != Fake {
		e.Fake = nil
	}
	return e
}

// idVersion is part of every ID; it changes when the meaning of a key changes.
const idVersion = "llem-1"

// ID identifies the meaning of the experiment in 12 hexadecimal digits.
func (e Experiment) ID() string {
	canonical := e.own().measured().anywhere()
	b, err := json.Marshal(canonical)
	if err != nil {
		panic(fmt.Sprintf("marshal experiment: %v", err)) // finite numbers and strings marshal
	}
	sum := sha256.Sum256(append([]byte(idVersion+"\n"), b...))
	return hex.EncodeToString(sum[:6])
}

// measured drops what does not change the measurement: what results are converted
// to, which remote pages check them, and how long a baseline stays good. It has one
// spelling for what means the same.
func (e Experiment) measured() Experiment {
	e.Energy = Energy{Sources: e.Energy.Sources, MinWindow: e.Energy.MinWindow}
	e.Baseline.MaxAgeSeconds = usualBaselineAge
	e.Model, e.Workload.Dataset = canonicalModel(e.Model), canonicalDataset(e.Workload.Dataset)
	e.Decoding, e.DType = e.Decoding.canonical(), canonicalDType(e.DType, e.Backend, e.Model)
	return e
}

// Label names the experiment for a person.
func (e Experiment) Label() string {
	return e.Model + " " + e.Backend + " " + e.DType + " batch " + e.BatchText()
}
