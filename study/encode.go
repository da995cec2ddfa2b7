package study

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// YAML writes the resolved study: every experiment with every value, in the order
// in which they were expanded. It is a record of what was run.
func (s *Study) YAML() (string, error) {
	type entry struct {
		ID string `json:"id"`
		Experiment
	}
	doc := struct {
		Name        string    `json:"name,omitempty"`
		Execution   Execution `json:"execution"`
		Experiments []entry   `json:"experiments"`
	}{Name: s.Name, Execution: s.Execution}
	for _, e := range s.Experiments {
		doc.Experiments = append(doc.Experiments, entry{e.ID(), e})
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return "", fmt.Errorf("encode the study: %w", err)
	}
	// JSON is YAML: parsing it keeps the order of the keys, and dropping the flow
	// style makes it readable.
	var node yaml.Node
	if err := yaml.Unmarshal(b, &node); err != nil {
		return "", fmt.Errorf("encode the study: %w", err)
	}
	block(&node)
	out, err := yaml.Marshal(&node)
	if err != nil {
		return "", fmt.Errorf("encode the study: %w", err)
	}
	return string(out), nil
}

func block(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		block(c)
	}
}
