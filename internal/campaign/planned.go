package campaign

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/internal/disk"

	"github.com/llenergymeasure/llem/study"
)

// ReadPlan reads what the frozen study.yaml of a results folder says about how many
// runs were planned: the study's name, its execution, and as many experiments as it
// had. The experiments are empty: their settings are in the records of their runs.
func ReadPlan(path string) (*study.Study, error) {
	text, err := disk.ReadFile(path, disk.MaxList)
	if err != nil {
		return nil, fmt.Errorf("read the study: %w", err)
	}
	var frozen struct {
		Name      string `yaml:"name"`
		Execution struct {
			Cycles int    `yaml:"cycles"`
			Order  string `yaml:"order"`
			Seed   uint64 `yaml:"seed"`
		} `yaml:"execution"`
		Experiments []map[string]any `yaml:"experiments"`
	}
	if err := yaml.Unmarshal(text, &frozen); err != nil {
		return nil, fmt.Errorf("read the study %s: %w", path, err)
	}
	if len(frozen.Experiments) == 0 || frozen.Execution.Cycles < 1 {
		return nil, fmt.Errorf("read the study %s: it names no experiments", path)
	}
	s := &study.Study{Name: frozen.Name, Experiments: make([]study.Experiment, len(frozen.Experiments))}
	s.Execution.Cycles, s.Execution.Order, s.Execution.Seed = frozen.Execution.Cycles, frozen.Execution.Order,
		frozen.Execution.Seed
	return s, nil
}
