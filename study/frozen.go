package study

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// ParseFrozen reads the study.yaml of a results folder: the study as it was resolved at its start. If the IDs of
// its experiments do not match their values, another version of this program wrote it, or it was changed.
func ParseFrozen(text []byte) (*Study, error) {
	frozen, err := parseFrozen(text)
	if err != nil {
		return nil, err
	}
	if len(frozen.Experiments) == 0 || frozen.Execution.Cycles < 1 ||
		!slices.Contains(terms.Orders(), frozen.Execution.Order) {
		return nil, errors.New("it names no experiments, cycles or order")
	}
	s := &Study{Name: frozen.Name, Execution: frozen.Execution, BackendNamed: true,
		Experiments: make([]Experiment, 0, len(frozen.Experiments))}
	for i, e := range frozen.Experiments {
		own := e.Recorded(e.ID)
		if e.Section == "" || own.ID() != e.ID {
			return nil, fmt.Errorf("experiment %d (%s) does not match its id: the file was changed, or written by "+
				"another version of llem", i+1, e.ID)
		}
		s.Experiments = append(s.Experiments, own)
	}
	return s, nil
}

// frozenStudy is the content of a study.yaml.
type frozenStudy struct {
	frozenHead
	Experiments []frozenEntry `json:"experiments"`
}

// parseFrozen reads both forms of the experiments.
func parseFrozen(text []byte) (*frozenStudy, error) {
	out := &frozenStudy{}
	at := bytes.Index(text, []byte("\n"+frozenLines))
	if at < 0 {
		return out, decodeYAML(text, out)
	}
	if err := decodeYAML(text[:at+1], &out.frozenHead); err != nil {
		return nil, err
	}
	list := bytes.TrimSuffix(text[at+1+len("experiments:\n"):], []byte("\n"))
	for line := range bytes.SplitSeq(list, []byte("\n")) {
		entry, ok := bytes.CutPrefix(line, []byte("- "))
		if !ok {
			return nil, fmt.Errorf("experiment %d does not begin with a dash", len(out.Experiments)+1)
		}
		var e frozenEntry
		if err := json.Unmarshal(entry, &e); err != nil {
			return nil, fmt.Errorf("experiment %d: %w", len(out.Experiments)+1, err)
		}
		out.Experiments = append(out.Experiments, e)
	}
	return out, nil
}

// decodeYAML decodes a document by the names of its JSON, in the order of its keys.
func decodeYAML(text []byte, into any) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	asJSON, err := appendNode(nil, &doc)
	if err != nil {
		return err
	}
	return json.Unmarshal(asJSON, into)
}

// appendNode writes a YAML node as JSON.
func appendNode(to []byte, n *yaml.Node) ([]byte, error) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	open, end := byte('['), byte(']')
	switch n.Kind {
	case yaml.DocumentNode:
		return appendNode(to, n.Content[0])
	case yaml.MappingNode:
		open, end = '{', '}'
	case yaml.SequenceNode:
	case yaml.ScalarNode:
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, err
		}
		if _, isText := v.(string); !isText && json.Valid([]byte(n.Value)) { // a number as written
			return append(to, n.Value...), nil
		}
		b, err := json.Marshal(v)
		return append(to, b...), err
	default:
		return append(to, "null"...), nil
	}
	to = append(to, open)
	var err error
	for i, c := range n.Content {
		switch {
		case i > 0 && open == '{' && i%2 == 1:
			to = append(to, ':')
		case i > 0:
			to = append(to, ',')
		}
		if open == '{' && i%2 == 0 {
			key, err := json.Marshal(c.Value)
			if err != nil {
				return nil, err
			}
			to = append(to, key...)
			continue
		}
		if to, err = appendNode(to, c); err != nil {
			return nil, err
		}
	}
	return append(to, end), nil
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
		*g = Gap{Mode: terms.GapFixed, Seconds: t}
	case string:
		if t != keys.Auto {
			return fmt.Errorf("read a gap: %q is not a number of seconds or %s", t, keys.Auto)
		}
		*g = Gap{Mode: terms.GapByCondition}
	default:
		return fmt.Errorf("read a gap: %s is not a number of seconds or %s", data, keys.Auto)
	}
	return nil
}

// String describes the goal.
func (u Until) String() string {
	if u.MaxCycles == 0 {
		return "not set"
	}
	return fmt.Sprintf("%s to %g in at most %d cycles", u.Metric, u.RelativeHalfWidth, u.MaxCycles)
}
