package study

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// ParseFrozen reads the study.yaml of a results folder: the study as it was resolved
// when it was started. A text whose experiments have other IDs than those it names
// was written by another version of this program, or changed since.
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
		if e.Section == "" || e.Experiment.ID() != e.ID {
			return nil, fmt.Errorf("experiment %d (%s) is not what its id says: the file was changed, or written by "+
				"another version of llem", i+1, e.ID)
		}
		s.Experiments = append(s.Experiments, e.Experiment)
	}
	return s, nil
}

// frozenStudy is the content of a study.yaml.
type frozenStudy struct {
	frozenHead
	Experiments []frozenEntry `json:"experiments"`
}

// parseFrozen reads either form of the experiments.
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

// decodeYAML reads a document by the names of its JSON, in the order of its keys.
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

// appendNode writes a node of YAML as JSON.
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
		if _, isText := v.(string); !isText && json.Valid([]byte(n.Value)) { // a number as it is written
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
			return fmt.Errorf("read a gap: %q is neither seconds nor %s", t, keys.Auto)
		}
		*g = Gap{Mode: terms.GapByCondition}
	default:
		return fmt.Errorf("read a gap: %s is neither seconds nor %s", data, keys.Auto)
	}
	return nil
}

// Differences says in what a study differs from the one that was frozen, in words;
// none if the runs that they ask for are the same.
func (s *Study) Differences(frozen *Study) []string {
	added, gone := s.without(frozen), frozen.without(s)
	var out []string
	// Experiments that stand at the same place of both lists are the same ones changed.
	if len(added) == len(gone) && len(s.Experiments) == len(frozen.Experiments) {
		out = changed(added, gone)
	}
	if out == nil {
		keys := Varying(append(measuredOf(added), measuredOf(gone)...))
		out = append(only("not in the study that was started", added, keys),
			only("no longer in the study", gone, keys)...)
	}
	a, b := s.Execution, frozen.Execution
	if a.Cycles != b.Cycles {
		out = append(out, fmt.Sprintf("execution.cycles is %d, was %d", a.Cycles, b.Cycles))
	}
	if a.Order != b.Order {
		out = append(out, fmt.Sprintf("execution.order is %s, was %s", a.Order, b.Order))
	}
	// A seed that comes from the experiments differs with them.
	own := a.Seed == s.ownSeed() && b.Seed == frozen.ownSeed()
	if a.Order == terms.Shuffle && a.Seed != b.Seed && !own {
		out = append(out, fmt.Sprintf("execution.seed is %d, was %d", a.Seed, b.Seed))
	}
	if a.Until != b.Until {
		out = append(out, fmt.Sprintf("execution.until is %v, was %v", a.Until, b.Until))
	}
	return out
}

// String is the goal in words.
func (u Until) String() string {
	if u.MaxCycles == 0 {
		return "not set"
	}
	return fmt.Sprintf("%s to %g in at most %d cycles", u.Metric, u.RelativeHalfWidth, u.MaxCycles)
}

// without lists the experiments that the other study has not.
func (s *Study) without(other *Study) []Experiment {
	has := map[string]bool{}
	for _, e := range other.Experiments {
		has[e.ID()] = true
	}
	var out []Experiment
	for _, e := range s.Experiments {
		if !has[e.ID()] {
			out = append(out, e)
		}
	}
	return out
}

// mostDifferences is how many experiments, or keys, are named.
const mostDifferences = 5

// changed names the keys that differ between experiments in pairs, with both values, if
// every pair differs in the same few keys in the same way; nil otherwise.
func changed(now, then []Experiment) []string {
	var out []string
	for i := range now {
		d := now[i].measured().differences(then[i].measured())
		if i == 0 {
			out = d
		} else if !slices.Equal(out, d) {
			return nil
		}
	}
	if len(out) > mostDifferences {
		return nil
	}
	return out
}

// differences lists the keys in which two experiments differ, as "key is X, was Y".
func (e Experiment) differences(then Experiment) []string {
	var out []string
	for _, k := range resolvedKeys(e, then) {
		a, b := k.Text(e), k.Text(then)
		if a != b {
			out = append(out, fmt.Sprintf("%s is %s, was %s", k.Name, orUnset(a), orUnset(b)))
		}
	}
	return out
}

func orUnset(text string) string {
	if text == "" {
		return "not set"
	}
	return text
}

// measuredOf drops from all what does not change a measurement.
func measuredOf(list []Experiment) []Experiment {
	out := make([]Experiment, len(list))
	for i, e := range list {
		out[i] = e.measured()
	}
	return out
}

// only lists experiments, the first few by name and with the values of the keys.
func only(what string, list []Experiment, keys []Key) []string {
	var out []string
	for _, e := range list[:min(len(list), mostDifferences)] {
		var values []string
		for _, k := range keys {
			if text := k.Text(e); text != "" {
				values = append(values, k.Name+"="+text)
			}
		}
		text := fmt.Sprintf("%s: %s (%s)", what, e.Label(), e.ID())
		if len(values) > 0 {
			text += " " + strings.Join(values, " ")
		}
		out = append(out, text)
	}
	slices.Sort(out)
	if len(list) > mostDifferences {
		out = append(out, fmt.Sprintf("%s: %d more", what, len(list)-mostDifferences))
	}
	return out
}
