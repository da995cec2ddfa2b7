package pytorch

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/backend"
)

// Options is the pytorch section of a study.
type Options struct {
	// BatchSize is the number of requests that run together, start to end.
	BatchSize int `json:"batch_size"`
	// Attention is one of Attentions.
	Attention string `json:"attn_implementation"`
	// Device is auto, cpu, cuda or cuda:N. Auto takes the first GPU if there is one.
	Device string `json:"device"`
}

// Attentions lists the attention implementations, the default first.
func Attentions() []string { return []string{"sdpa", "eager", "flash_attention_2"} }

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
		return o, backend.Failf(backend.ClassConfig, "the keys are batch_size, attn_implementation and device",
			"read the pytorch section: %v", err)
	}
	return o, o.validate()
}

func (o Options) validate() error {
	if o.BatchSize < 1 {
		return backend.Failf(backend.ClassConfig, "use 1 or more", "pytorch.batch_size is %d", o.BatchSize)
	}
	if !slices.Contains(Attentions(), o.Attention) {
		return backend.Failf(backend.ClassConfig, "use one of "+strings.Join(Attentions(), ", "),
			"pytorch.attn_implementation %q is not known", o.Attention)
	}
	if !validDevice(o.Device) {
		return backend.Failf(backend.ClassConfig, "use auto, cpu, cuda or cuda:N",
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
		return spec, backend.Failf(backend.ClassConfig, "remove one of the two",
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
