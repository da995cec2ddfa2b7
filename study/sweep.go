package study

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxPoints bounds a sweep.
const maxPoints = 1_000_000

// sweep walks the axes of a file.
func (b *builder) sweep(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		b.fail(b.at(k), "write sweep: {embedded.batch_size: [1, 8]}", "sweep holds keys with lists of values")
		return
	}
	b.axes("", n)
}

// axes accepts dotted keys and nested mappings alike.
func (b *builder) axes(prefix string, n *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		key := prefix + k.Value
		if line, dup := seen[key]; dup {
			b.fail(b.at(k), "remove one of them", "axis %q appears twice; the first is in line %d", key, line)
			continue
		}
		seen[key] = k.Line
		f, ok := lookup(key)
		switch {
		case ok && v.Kind == yaml.SequenceNode:
			b.assign(f, b.scalars(key, v), true)
		case ok:
			if text, ok := b.scalar(key, k, v); ok {
				b.assign(f, b.expandRange(key, text), true)
			}
		case isPrefix(key) && v.Kind == yaml.MappingNode:
			b.axes(key+".", v)
		default:
			b.fail(b.at(k), suggest(key), "unknown key %q in sweep", key)
		}
	}
}

// rangeText matches 8..64*2, 1..9+2 and 1..4.
var rangeText = regexp.MustCompile(`^(-?\d+)\.\.(-?\d+)(?:([*+])(\d+))?$`)

// expandRange turns a range into its values; other text is one value.
func (b *builder) expandRange(key string, v value) []value {
	m := rangeText.FindStringSubmatch(v.text)
	if m == nil {
		return []value{v}
	}
	low, err1 := strconv.ParseInt(m[1], 10, 64)
	high, err2 := strconv.ParseInt(m[2], 10, 64)
	op, by, err3 := "+", int64(1), error(nil)
	if m[3] != "" {
		op = m[3]
		by, err3 = strconv.ParseInt(m[4], 10, 64)
	}
	switch {
	case err1 != nil || err2 != nil || err3 != nil:
		b.fail(v.at, "", "%s: the range %q has a number that is too large", key, v.text)
		return nil
	case low > high:
		b.fail(v.at, fmt.Sprintf("write %d..%d", high, low), "%s: the range %q runs downwards and is empty", key, v.text)
		return nil
	case op == "*" && (by < 2 || low < 1), op == "+" && by < 1:
		b.fail(v.at, "use a factor of 2 or more from 1 up, or a step of 1 or more", "%s: the range %q never ends", key, v.text)
		return nil
	}
	var out []value
	for n := low; n <= high; {
		out = append(out, value{strconv.FormatInt(n, 10), v.at})
		if len(out) > maxPoints {
			b.fail(v.at, "use a larger step", "%s: the range %q has more than %d values", key, v.text, maxPoints)
			return nil
		}
		next := n + by
		if op == "*" {
			next = n * by
		}
		if next <= n { // overflow
			break
		}
		n = next
	}
	return out
}

// settings applies the command line.
func (b *builder) settings(settings []Setting) {
	for _, s := range settings {
		at := Error{Source: s.Flag}
		f, ok := lookup(s.Key)
		switch {
		case !ok && slices.Contains(studyKeys, s.Key) && s.Key != "sweep":
			b.set(s.Key, value{s.Value, at})
		case !ok && isPrefix(s.Key):
			b.fail(at, fmt.Sprintf("set one of its keys, such as %s.%s", s.Key, childKeys(s.Key)[0]), "%s holds keys, not a value", s.Key)
		case !ok:
			b.fail(at, suggest(s.Key), "unknown key %q", s.Key)
		default:
			b.assignText(f, s.Value, at)
		}
	}
}

// assignText splits a setting at commas; several values or a range are an axis.
func (b *builder) assignText(f field, text string, at Error) {
	if slices.Contains(undivided, f.key) {
		b.assign(f, []value{{text, at}}, false)
		return
	}
	var values []value
	for part := range strings.SplitSeq(text, ",") {
		values = append(values, b.expandRange(f.key, value{strings.TrimSpace(part), at})...)
	}
	b.assign(f, values, len(values) > 1)
}

// build makes the study, or returns every mistake.
func (b *builder) build() (*Study, error) {
	b.require()
	if len(b.errs) > 0 {
		return nil, b.errs.sorted()
	}
	s := &Study{Name: b.name, Execution: b.execution, BackendNamed: b.names("backend")}
	seen := map[string]bool{}
	for _, backend := range b.backends() {
		fixed, axes := b.split(backend)
		base := DefaultExperiment()
		for _, a := range fixed {
			apply(&base, a.field, a.values[0])
		}
		base.Backend = backend
		for e := range product(base, axes) {
			b.crossCheck(e)
			e = e.own()
			if id := e.ID(); seen[id] {
				s.Merged++
			} else {
				seen[id] = true
				s.Experiments = append(s.Experiments, e)
			}
		}
	}
	if len(b.errs) > 0 {
		return nil, b.errs.sorted()
	}
	return s, nil
}

// apply sets a value that assign has already accepted.
func apply(e *Experiment, f field, v value) {
	if err := f.set(e, v.text); err != nil {
		panic(fmt.Sprintf("set %s to a checked value: %v", f.key, err))
	}
}

// names says that some source gave the key.
func (b *builder) names(key string) bool {
	return slices.ContainsFunc(b.assignments, func(a assignment) bool { return a.field.key == key })
}

// require checks what every study needs and that the sweep is of bearable size.
func (b *builder) require() {
	if !b.names("model") && len(b.errs) == 0 {
		source := b.source
		if source == "" {
			source = "--model"
		}
		b.fail(Error{Source: source}, "for a first run without any download: --model random:smollm2-135m", "no model is given")
	}
	points := 1
	for _, a := range b.assignments {
		if points *= len(a.values); points > maxPoints {
			b.fail(Error{Source: a.values[0].at.Source}, "use fewer values", "the sweep has more than %d points", maxPoints)
			return
		}
	}
}

// crossCheck finds values that do not fit together.
func (b *builder) crossCheck(e Experiment) {
	quantised := e.DType == "q8_0" || e.DType == "q4_0"
	if e.Backend == PyTorch && quantised {
		at := b.where("dtype")
		msg := fmt.Sprintf("dtype %s is a ggml format that the pytorch backend does not run", e.DType)
		if !slices.ContainsFunc(b.errs, func(o *Error) bool { return o.Msg == msg }) {
			b.fail(at, "use float32, float16 or bfloat16, or backend: embedded", "%s", msg)
		}
	}
}

// where is the position of a key's first value.
func (b *builder) where(key string) Error {
	for _, a := range b.assignments {
		if a.field.key == key {
			return a.values[0].at
		}
	}
	return Error{Source: b.source}
}

// backends lists the values of the backend key.
func (b *builder) backends() []string {
	for _, a := range b.assignments {
		if a.field.key == "backend" {
			out := make([]string, 0, len(a.values))
			for _, v := range a.values {
				if !slices.Contains(out, v.text) {
					out = append(out, v.text)
				}
			}
			return out
		}
	}
	return []string{Embedded}
}

// split separates fixed values from the axes that apply to a backend.
func (b *builder) split(backend string) (fixed, axes []assignment) {
	for _, a := range b.assignments {
		section := a.field.section()
		switch {
		case a.field.key == "backend", section != "" && section != backend:
		case a.axis:
			axes = append(axes, a)
		default:
			fixed = append(fixed, a)
		}
	}
	return fixed, axes
}

// product yields every combination of the axes, the last one changing fastest.
func product(base Experiment, axes []assignment) func(yield func(Experiment) bool) {
	return func(yield func(Experiment) bool) {
		index := make([]int, len(axes))
		for {
			e := base.clone()
			for i, a := range axes {
				apply(&e, a.field, a.values[index[i]])
			}
			if !yield(e) {
				return
			}
			i := len(axes) - 1
			for ; i >= 0; i-- {
				if index[i]++; index[i] < len(axes[i].values) {
					break
				}
				index[i] = 0
			}
			if i < 0 {
				return
			}
		}
	}
}
