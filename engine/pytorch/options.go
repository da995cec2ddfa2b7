package pytorch

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/note"
)

// Options is the pytorch section of a study. Texts are "" where the default is meant.
type Options struct {
	// BatchSize is the number of requests that run together, start to end.
	BatchSize int `json:"batch_size"`
	// Attention is one of Attentions.
	Attention string `json:"attn_implementation"`
	// Device is auto, cpu, cuda or cuda:N. Auto takes the first GPU if there is one.
	Device string `json:"device"`
	// Batching is static, or continuous: the library's own scheduler and paged cache.
	Batching string `json:"batching,omitempty"`
	// Cache is dynamic, a cache that grows, or static, one laid out for the longest
	// sequence.
	Cache string `json:"cache_implementation,omitempty"`
	// Compile is off or a mode of torch.compile for the decode step.
	Compile string `json:"compile,omitempty"`
	// Quantization is none or a library with a format.
	Quantization string `json:"quantization,omitempty"`
	// MatmulPrecision is that of float32 products: highest, high or medium.
	MatmulPrecision string `json:"matmul_precision,omitempty"`
	// Threads of the host; 0 leaves them to PyTorch.
	Threads int `json:"threads,omitempty"`
	// PrefillChunk is the most columns of a batch in one forward pass; 0: all.
	PrefillChunk int `json:"prefill_chunk_size,omitempty"`
	// DeviceMap is single, or auto: the layers are spread over all visible GPUs.
	DeviceMap string `json:"device_map,omitempty"`
	// TensorParallel is the number of processes that share each layer; 0 is 1.
	TensorParallel int `json:"tensor_parallel_size,omitempty"`
}

// Attentions lists the attention implementations, the default first.
func Attentions() []string {
	return []string{"sdpa", "eager", "flash_attention_2", "flash_attention_3"}
}

// DefaultOptions are the options of an empty section.
func DefaultOptions() Options {
	return Options{BatchSize: 1, Attention: Attentions()[0], Device: "auto"}
}

// ParseOptions reads the pytorch section; keys that are absent have their
// defaults. Its errors are of class config.
func ParseOptions(section json.RawMessage) (Options, error) {
	o := DefaultOptions()
	if len(bytes.TrimSpace(section)) == 0 {
		return o, nil
	}
	d := json.NewDecoder(bytes.NewReader(section))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return o, note.Failf(note.ClassConfig, "llem schema lists the keys of the section",
			"read the pytorch section: %v", err)
	}
	return o, o.validate()
}

// validate checks each value. What does not fit together, or is not installed, the
// worker refuses: it knows the device and the versions.
func (o Options) validate() error {
	if o.BatchSize < 1 {
		return note.Failf(note.ClassConfig, "use 1 or more", "pytorch.batch_size is %d", o.BatchSize)
	}
	if o.Threads < 0 || o.PrefillChunk < 0 {
		return note.Failf(note.ClassConfig, "use 0 for the default, or more",
			"pytorch.threads is %d and pytorch.prefill_chunk_size is %d", o.Threads, o.PrefillChunk)
	}
	if o.TensorParallel < 0 {
		return note.Failf(note.ClassConfig, "use 1 or more", "pytorch.tensor_parallel_size is %d",
			o.TensorParallel)
	}
	for _, c := range []struct {
		key, value string
		words      []string
	}{
		{"attn_implementation", o.Attention, Attentions()},
		{"batching", o.Batching, []string{"", "static", "continuous"}},
		{"cache_implementation", o.Cache, []string{"", "dynamic", "static"}},
		{"compile", o.Compile, []string{"", "off", "default", "reduce-overhead", "max-autotune"}},
		{"quantization", o.Quantization, []string{"", "none", "bitsandbytes-8bit", "bitsandbytes-4bit",
			"torchao-int8", "torchao-int4", "torchao-float8"}},
		{"device_map", o.DeviceMap, []string{"", "single", "auto"}},
		{"matmul_precision", o.MatmulPrecision, []string{"", "highest", "high", "medium"}},
	} {
		if !slices.Contains(c.words, c.value) {
			return note.Failf(note.ClassConfig,
				"use one of "+strings.TrimPrefix(strings.Join(c.words, ", "), ", "),
				"pytorch.%s %q is not known", c.key, c.value)
		}
	}
	if !validDevice(o.Device) {
		return note.Failf(note.ClassConfig, "use auto, cpu, cuda or cuda:N",
			"pytorch.device %q is not known", o.Device)
	}
	return nil
}

func validDevice(name string) bool {
	if slices.Contains([]string{"auto", "cpu", "cuda"}, name) {
		return true
	}
	number, ok := strings.CutPrefix(name, "cuda:")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// resolve returns the spec as the worker gets it: every option filled in, one
// batch size. Two different batch sizes are an error, since one of them would be
// silently dropped.
func resolve(spec backend.Spec) (backend.Spec, error) {
	o, err := ParseOptions(spec.Options)
	if err != nil {
		return spec, err
	}
	switch {
	case spec.BatchSize == 0:
		spec.BatchSize = o.BatchSize
	case spec.BatchSize != o.BatchSize && hasBatchSize(spec.Options):
		return spec, note.Failf(note.ClassConfig, "remove one of the two",
			"pytorch.batch_size is %d, but a batch size of %d is asked for", o.BatchSize, spec.BatchSize)
	default:
		o.BatchSize = spec.BatchSize
	}
	spec.Options, err = json.Marshal(o)
	return spec, err
}

func hasBatchSize(section json.RawMessage) bool {
	var keys struct {
		BatchSize *int `json:"batch_size"`
	}
	return json.Unmarshal(section, &keys) == nil && keys.BatchSize != nil
}
