package store

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/study"
)

// parsePlan reads the number of planned runs from the frozen study.yaml of a results folder: the study's
// name, its execution, and its number of experiments. The experiments only have IDs: their settings are in
// the records of their runs.
func parsePlan(text []byte) (*study.Study, error) {
	var frozen struct {
		Name      string `yaml:"name"`
		Execution struct {
			Cycles int    `yaml:"cycles"`
			Order  string `yaml:"order"`
			Seed   uint64 `yaml:"seed"`

			Placement string `yaml:"placement"`
		} `yaml:"execution"`
		Experiments []map[string]any `yaml:"experiments"`
	}
	if err := yaml.Unmarshal(text, &frozen); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	if len(frozen.Experiments) == 0 || frozen.Execution.Cycles < 1 {
		return nil, errors.New("it has no experiments")
	}
	s := &study.Study{Name: frozen.Name, Experiments: make([]study.Experiment, len(frozen.Experiments))}
	for i, e := range frozen.Experiments {
		s.Experiments[i].RecordedID, _ = e["id"].(string)
	}
	s.Execution.Cycles, s.Execution.Order, s.Execution.Seed = frozen.Execution.Cycles, frozen.Execution.Order,
		frozen.Execution.Seed
	s.Execution.Placement = frozen.Execution.Placement
	return s, nil
}
