package study

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// frozenEntry is an experiment in the form of a resolved study.
type frozenEntry struct {
	ID string `json:"id"`
	Experiment
}

// frozenHead is the part before the experiments.
type frozenHead struct {
	Name      string    `json:"name,omitempty"`
	Execution Execution `json:"execution"`
}

// mostBlocks is the number of experiments up to which they are written for people to read. A larger study has one
// line each, in JSON, which is also YAML: a YAML parser uses 100 kB of memory for each.
const mostBlocks = 1000

// frozenLines begins the list of experiments with one line each.
const frozenLines = "experiments:\n- {"

// YAML returns the resolved study: every experiment with every value, in the order of expansion. It is a record of
// what was run.
func (s *Study) YAML() (string, error) {
	head := frozenHead{s.Name, s.Execution}
	if len(s.Experiments) > mostBlocks {
		return s.lines(head)
	}
	doc := struct {
		frozenHead
		Experiments []frozenEntry `json:"experiments"`
	}{frozenHead: head}
	for _, e := range s.Experiments {
		doc.Experiments = append(doc.Experiments, frozenEntry{e.ID(), e})
	}
	return blockYAML(doc)
}

// lines writes the experiments of a large study.
func (s *Study) lines(head frozenHead) (string, error) {
	text, err := blockYAML(head)
	if err != nil {
		return "", err
	}
	b := bytes.NewBufferString(text + "experiments:\n")
	for _, e := range s.Experiments {
		line, err := json.Marshal(frozenEntry{e.ID(), e})
		if err != nil {
			return "", fmt.Errorf("encode the study: %w", err)
		}
		b.WriteString("- ")
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String(), nil
}

func blockYAML(doc any) (string, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return "", fmt.Errorf("encode the study: %w", err)
	}
	// JSON is YAML: parsing it keeps the order of the keys, and without the flow style it is readable.
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
