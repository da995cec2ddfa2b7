package study

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v4"
)

// ReadFrozen reads the study.yaml of a results folder: the study as it was resolved
// when it was started. A file whose experiments have other IDs than those it names
// was written by another version of this program, or changed since.
func ReadFrozen(path string) (*Study, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the study: %w", err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("read the study %s: %w", path, err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("read the study %s: %w", path, err)
	}
	var frozen struct {
		Name        string    `json:"name"`
		Execution   Execution `json:"execution"`
		Experiments []struct {
			ID string `json:"id"`
			Experiment
		} `json:"experiments"`
	}
	if err := json.Unmarshal(asJSON, &frozen); err != nil {
		return nil, fmt.Errorf("read the study %s: %w", path, err)
	}
	if len(frozen.Experiments) == 0 || frozen.Execution.Cycles < 1 || !slices.Contains(Orders(), frozen.Execution.Order) {
		return nil, fmt.Errorf("read the study %s: it names no experiments, cycles or order", path)
	}
	s := &Study{Name: frozen.Name, Execution: frozen.Execution, BackendNamed: true}
	for i, e := range frozen.Experiments {
		if !e.sectioned() || e.Experiment.ID() != e.ID {
			return nil, fmt.Errorf("read the study %s: experiment %d (%s) is not what its id says: the file was changed, or written by another version of llem", path, i+1, e.ID)
		}
		s.Experiments = append(s.Experiments, e.Experiment)
	}
	return s, nil
}

// sectioned says whether the section of the experiment's backend is there.
func (e Experiment) sectioned() bool {
	switch e.Backend {
	case Embedded:
		return e.Embedded != nil
	case PyTorch:
		return e.PyTorch != nil
	case VLLM:
		return e.VLLM != nil
	case SGLang:
		return e.SGLang != nil
	case TensorRT:
		return e.TensorRT != nil
	case LlamaCpp:
		return e.LlamaCpp != nil
	case Fake:
		return e.Fake != nil
	}
	return false
}

// UnmarshalJSON reads what MarshalJSON writes.
func (g *Gap) UnmarshalJSON(data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("read a gap: %w", err)
	}
	switch t := v.(type) {
	case nil:
		*g = Gap{}
	case float64:
		*g = Gap{Mode: GapFixed, Seconds: t}
	case string:
		if t != gapAuto {
			return fmt.Errorf("read a gap: %q is neither seconds nor %s", t, gapAuto)
		}
		*g = Gap{Mode: GapByCondition}
	default:
		return fmt.Errorf("read a gap: %s is neither seconds nor %s", data, gapAuto)
	}
	return nil
}

// Differences says in what a study differs from the one that was frozen, in words;
// none if the runs that they ask for are the same.
func (s *Study) Differences(frozen *Study) []string {
	now, then := s.labels(), frozen.labels()
	out := append(only("not in the study that was started", now, then), only("no longer in the study", then, now)...)
	a, b := s.Execution, frozen.Execution
	if a.Cycles != b.Cycles {
		out = append(out, fmt.Sprintf("execution.cycles is %d, was %d", a.Cycles, b.Cycles))
	}
	if a.Order != b.Order {
		out = append(out, fmt.Sprintf("execution.order is %s, was %s", a.Order, b.Order))
	}
	if a.Order == Shuffle && a.Seed != b.Seed {
		out = append(out, fmt.Sprintf("execution.seed is %d, was %d", a.Seed, b.Seed))
	}
	if a.Until != b.Until {
		out = append(out, "execution.until was changed")
	}
	return out
}

// labels names the experiments by ID.
func (s *Study) labels() map[string]string {
	m := map[string]string{}
	for _, e := range s.Experiments {
		m[e.ID()] = e.Label()
	}
	return m
}

// only lists what one study has and the other has not, the first few by name.
func only(what string, in, notIn map[string]string) []string {
	const most = 5
	var labels []string
	for id, label := range in {
		if _, ok := notIn[id]; !ok {
			labels = append(labels, fmt.Sprintf("%s: %s (%s)", what, label, id))
		}
	}
	slices.Sort(labels)
	if len(labels) > most {
		labels = append(labels[:most], fmt.Sprintf("%s: %d more", what, len(labels)-most))
	}
	return labels
}
