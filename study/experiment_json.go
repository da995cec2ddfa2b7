package study

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/llenergymeasure/llem/engine"
)

// experimentHead is the part before the engine's section in an experiment's JSON, and experimentTail the part
// after it. IDs depend on this order.
type experimentHead struct {
	Model    string   `json:"model"`
	Backend  string   `json:"backend"`
	DType    string   `json:"dtype"`
	Workload Workload `json:"workload"`
	Decoding Decoding `json:"decoding"`
	Warmup   Warmup   `json:"warmup"`
	Baseline Baseline `json:"baseline"`
	Energy   Energy   `json:"energy"`
	Seed     uint64   `json:"seed"`
}

type experimentTail struct {
	Runner    string           `json:"runner,omitempty"`
	Container ContainerSection `json:"container,omitzero"`
}

// MarshalJSON implements json.Marshaler.
func (e Experiment) MarshalJSON() ([]byte, error) {
	out, err := json.Marshal(experimentHead{e.Model, e.Backend, e.DType, e.Workload, e.Decoding, e.Warmup, e.Baseline,
		e.Energy, e.Seed})
	if err != nil {
		return nil, err
	}
	out = out[:len(out)-1]
	if e.Section != "" {
		name, err := json.Marshal(e.Backend)
		if err != nil {
			return nil, err
		}
		out = append(append(append(append(out, ','), name...), ':'), e.Section...)
	}
	if e.Runner != "" || e.Container != (ContainerSection{}) {
		tail, err := json.Marshal(experimentTail{e.Runner, e.Container})
		if err != nil {
			return nil, err
		}
		return append(append(out, ','), tail[1:]...), nil
	}
	return append(out, '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler. It keeps the section of the experiment's backend unchanged, even if
// this program does not have that engine.
func (e *Experiment) UnmarshalJSON(data []byte) error {
	var all struct {
		experimentHead
		experimentTail
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*e = Experiment{Model: all.Model, Backend: all.Backend, DType: all.DType, Workload: all.Workload,
		Decoding: all.Decoding, Warmup: all.Warmup, Baseline: all.Baseline, Energy: all.Energy, Seed: all.Seed,
		Runner: all.Runner, Container: all.Container}
	var sections map[string]json.RawMessage
	if err := json.Unmarshal(data, &sections); err != nil {
		return err
	}
	raw, ok := sections[all.Backend]
	if !ok || len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return fmt.Errorf("read the section of %s: %w", all.Backend, err)
	}
	e.Section = engine.JSON(compact.String())
	return nil
}

// MarshalJSON implements json.Marshaler.
func (f frozenEntry) MarshalJSON() ([]byte, error) {
	e, err := f.Experiment.MarshalJSON()
	if err != nil {
		return nil, err
	}
	id, err := json.Marshal(f.ID)
	if err != nil {
		return nil, err
	}
	return append(append(append([]byte(`{"id":`), id...), ','), e[1:]...), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *frozenEntry) UnmarshalJSON(data []byte) error {
	var head struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	f.ID = head.ID
	return f.Experiment.UnmarshalJSON(data)
}
