package pytorch

import (
	"encoding/json"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// parse reads the pytorch section; absent keys have their defaults. Its errors are of class config. The worker,
// which knows the device and the versions, refuses incompatible or missing features.
func parse(section json.RawMessage) (*settings, error) {
	s := defaults()
	if err := engine.Decode(section, s); err != nil {
		return s, note.Failf(codes.ClassConfig, "`llem schema` lists the keys of the section",
			"read the pytorch section: %v", err)
	}
	return s, nil
}

// resolve returns the spec as the worker receives it: every option filled in, one batch size. Two different batch
// sizes are an error, because one of them would be silently dropped.
func resolve(spec backend.Spec) (backend.Spec, error) {
	s, err := parse(spec.Options)
	if err != nil {
		return spec, err
	}
	switch {
	case spec.BatchSize == 0:
		spec.BatchSize = s.BatchSize
	case spec.BatchSize != s.BatchSize && hasBatchSize(spec.Options):
		return spec, note.Failf(codes.ClassConfig, "remove one of the two",
			"pytorch.batch_size is %d, but a batch size of %d is requested", s.BatchSize, spec.BatchSize)
	default:
		s.BatchSize = spec.BatchSize
	}
	spec.Options = json.RawMessage(engine.Encode(s))
	return spec, nil
}

func hasBatchSize(section json.RawMessage) bool {
	var keys struct {
		BatchSize *int `json:"batch_size"`
	}
	return json.Unmarshal(section, &keys) == nil && keys.BatchSize != nil
}
