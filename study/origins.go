package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// Origins reads a study and lists every value of its experiments with its origin: the flag, the file with its
// line, the variable, the profile, or "default". Keys that vary list all their values.
func Origins(o Options) (*Study, []Origin, error) {
	s, b, err := read(o)
	if err != nil {
		return nil, nil, err
	}
	used := map[string]bool{}
	for i := range s.Experiments {
		used[s.Experiments[i].Backend] = true
	}
	out := b.ownOrigins()
	initial := b.Initial
	for _, f := range b.Fields {
		if f.Preset || f.Section != "" && !used[f.Section] {
			continue
		}
		out = append(out, b.origin(f, initial))
	}
	return s, append(out, b.executionOrigins(s.Execution)...), nil
}

// mostOriginValues bounds the values of a key that are listed.
const mostOriginValues = 8

// origin returns the origin of one key of an experiment.
func (b reading) origin(f *keys.Field, initial keys.Values) Origin {
	o := Origin{Key: f.Key, Unit: f.Unit, From: "the engine's default"}
	if f.Unset {
		o.From = "default"
	} else if !f.Optional {
		o.From = "default"
		o.Value = f.Kind.Format(f.Get(initial))
	}
	for _, p := range b.Fixed {
		if p.F == f {
			o.Value, o.From = f.Kind.Format(p.V), p.At.Place()
		}
	}
	if f.Key == "backend" && o.Value == "" {
		o.Value = b.Backends[0]
	}
	for _, a := range b.Axes {
		if !a.Has(f) {
			continue
		}
		var values []string
		for _, c := range a.Choices {
			for _, s := range c {
				if text := f.Kind.Format(s.V); s.F == f && !slices.Contains(values, text) {
					values = append(values, text)
				}
			}
		}
		o.Value, o.From = several(values), a.At.Place()
	}
	for _, l := range b.Links {
		if l.F == f {
			o.Value, o.From = "follows other keys", l.At.Place()
		}
	}
	var entries []string
	for _, p := range b.Points {
		if set := p.Names(f); set != nil {
			if text := f.Kind.Format(set.V); !slices.Contains(entries, text) {
				entries = append(entries, text)
			}
			o.From = set.At.Place()
		}
	}
	if len(entries) > 0 {
		o.Value = "in experiments: " + several(entries)
	}
	return o
}

func several(values []string) string {
	n := len(values)
	if n > mostOriginValues {
		return fmt.Sprintf("%s, … %d in all", strings.Join(values[:mostOriginValues], ", "), n)
	}
	return strings.Join(values, ", ")
}

// executionOrigins lists the keys of the execution section.
func (b reading) executionOrigins(x Execution) []Origin {
	data, err := json.Marshal(x)
	if err != nil {
		return nil // finite numbers and strings marshal
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a seed has more digits than a float
	_ = d.Decode(&tree)
	profile, hasProfile := b.Execution["execution.profile"]
	stood := profiles[x.Profile].gave()
	var out []Origin
	for _, f := range executionFields() {
		o := Origin{Key: f.Key, Value: leaf(tree, strings.TrimPrefix(f.Key, "execution.")), From: "default"}
		if s, ok := b.Execution[f.Key]; ok {
			o.From = s.At.Place()
		} else if hasProfile && slices.Contains(stood, f.Key) {
			o.From = fmt.Sprintf("profile %s (%s)", x.Profile, profile.At.Place())
		} else if f.Key == "execution.seed" && x.Order == terms.Shuffle {
			o.From = "the experiments of the study"
		}
		out = append(out, o)
	}
	return out
}

// gave lists the keys that a profile sets.
func (x Execution) gave() []string {
	out := []string{"execution.cycles", "execution.gap_seconds", "execution.restart"}
	if x.Until != (Until{}) {
		out = append(out, "execution.until.metric", "execution.until.relative_half_width", "execution.until.max_cycles")
	}
	return out
}

// leaf returns the text of a value in a JSON tree; empty if it is missing.
func leaf(tree map[string]any, path string) string {
	head, rest, more := strings.Cut(path, ".")
	if more {
		inner, _ := tree[head].(map[string]any)
		return leaf(inner, rest)
	}
	if v := tree[head]; v != nil {
		return fmt.Sprint(v)
	}
	return ""
}
