package study

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// frozenEntry is an experiment of a resolved study as it is written.
type frozenEntry struct {
	ID string `json:"id"`
	Experiment
}

// frozenHead is what stands before the experiments.
type frozenHead struct {
	Name      string    `json:"name,omitempty"`
	Execution Execution `json:"execution"`
}

// mostBlocks is up to how many experiments are written for people to read. More have a
// line each, in the form of JSON, which is YAML too: a parser of YAML takes 100 kB of
// memory for each.
const mostBlocks = 1000

// frozenLines begins the list of experiments with a line for each.
const frozenLines = "experiments:\n- {"

// YAML writes the resolved study: every experiment with every value, in the order
// in which they were expanded. It is a record of what was run.
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
