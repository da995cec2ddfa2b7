package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Origins reads a study and lists every value that its experiments have, with where it
// comes from: the flag, the file with its line, the variable, the profile, or "default".
// Keys that vary name all their values.
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
	initial := b.defaults()
	for _, f := range b.fields {
		if f.word || f.section != "" && !used[f.section] {
			continue
		}
		out = append(out, b.origin(f, &initial))
	}
	return s, append(out, b.executionOrigins(s.Execution)...), nil
}

// mostOriginValues is how many values of a key are named.
const mostOriginValues = 8

// origin of one key of an experiment.
func (b *builder) origin(f *field, initial *settings) Origin {
	o := Origin{Key: f.key, From: "the engine's default"}
	if !f.optional {
		o.From = "default"
		o.Value = f.kind.Format(f.get(initial))
	}
	for _, p := range b.fixed {
		if p.f == f {
			o.Value, o.From = f.kind.Format(p.v), p.at.place()
		}
	}
	if f.key == "backend" && o.Value == "" {
		o.Value = b.backends[0]
	}
	for _, a := range b.axes {
		if !a.has(f) {
			continue
		}
		var values []string
		for _, c := range a.choices {
			for _, s := range c {
				if text := f.kind.Format(s.v); s.f == f && !slices.Contains(values, text) {
					values = append(values, text)
				}
			}
		}
		o.Value, o.From = several(values), a.at.place()
	}
	for _, l := range b.links {
		if l.f == f {
			o.Value, o.From = "follows other keys", l.at.place()
		}
	}
	var entries []string
	for _, p := range b.points {
		if set := p.names(f); set != nil {
			if text := f.kind.Format(set.v); !slices.Contains(entries, text) {
				entries = append(entries, text)
			}
			o.From = set.at.place()
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
func (b *builder) executionOrigins(x Execution) []Origin {
	data, err := json.Marshal(x)
	if err != nil {
		return nil // finite numbers and strings marshal
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a seed has more digits than a float
	_ = d.Decode(&tree)
	profile, hasProfile := b.execution["execution.profile"]
	stood := profiles[x.Profile].gave()
	var out []Origin
	for _, f := range executionFields {
		o := Origin{Key: f.key, Value: leaf(tree, strings.TrimPrefix(f.key, "execution.")), From: "default"}
		if s, ok := b.execution[f.key]; ok {
			o.From = s.at.place()
		} else if hasProfile && slices.Contains(stood, f.key) {
			o.From = fmt.Sprintf("profile %s (%s)", x.Profile, profile.at.place())
		} else if f.key == "execution.seed" && x.Order == Shuffle {
			o.From = "the experiments of the study"
		}
		out = append(out, o)
	}
	return out
}

// gave lists the keys that a profile stands in for.
func (x Execution) gave() []string {
	out := []string{"execution.cycles", "execution.gap_seconds", "execution.restart"}
	if x.Until != (Until{}) {
		out = append(out, "execution.until.metric", "execution.until.relative_half_width", "execution.until.max_cycles")
	}
	return out
}

// leaf is the text of a value in a JSON tree; empty where it is not there.
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
