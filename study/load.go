package study

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Setting is one KEY=VALUE from the command line.
type Setting struct {
	// Flag is how the user wrote it, for messages: --set, --batch-size.
	Flag  string
	Key   string
	Value string
}

// Options says where a study comes from. Settings override the file.
type Options struct {
	// Path of the study file; empty for a study made of settings alone.
	Path     string
	Settings []Setting
}

// Load reads a study. The error is [Errors] if the sources contain mistakes.
func Load(o Options) (*Study, error) {
	b := newBuilder()
	if o.Path != "" {
		data, err := os.ReadFile(o.Path)
		if err != nil {
			return nil, Errors{{Source: o.Path, Msg: readProblem(err), Hint: "give the path of a study file, or use --model for a single experiment"}}
		}
		b.file(o.Path, data)
	}
	b.settings(o.Settings)
	return b.build()
}

// Parse reads a study from the text of a file called name.
func Parse(name string, data []byte) (*Study, error) {
	b := newBuilder()
	b.file(name, data)
	return b.build()
}

func readProblem(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return "cannot read the study file: " + pe.Err.Error()
	}
	return "cannot read the study file: " + err.Error()
}

// assignment gives one key its value, or several values for an axis.
type assignment struct {
	field  field
	values []value
	axis   bool
}

// value is the text of a scalar and where it stands.
type value struct {
	text string
	at   Error // source, position and excerpt, without a message
}

// builder collects assignments and mistakes from all sources.
type builder struct {
	name        string
	execution   Execution
	assignments []assignment
	errs        Errors
	source      string
	lines       []string
}

func newBuilder() *builder { return &builder{execution: DefaultExecution()} }

// fail records a mistake at a position.
func (b *builder) fail(at Error, hint, format string, args ...any) {
	at.Msg, at.Hint = fmt.Sprintf(format, args...), hint
	b.errs = append(b.errs, &at)
}

// failValue records what a setter said about a value.
func (b *builder) failValue(v value, key string, err error) {
	hint := ""
	if h, ok := errors.AsType[*hinted](err); ok {
		hint = h.hint
	}
	b.fail(v.at, hint, "%s %v", key, err)
}

// at is the position of a node.
func (b *builder) at(n *yaml.Node) Error {
	e := Error{Source: b.source, Line: n.Line, Col: n.Column, Width: len([]rune(n.Value))}
	if n.Line >= 1 && n.Line <= len(b.lines) {
		e.Excerpt = strings.TrimRight(b.lines[n.Line-1], "\r")
	}
	return e
}

// file walks one study file.
func (b *builder) file(name string, data []byte) {
	b.source, b.lines = name, strings.Split(string(data), "\n")
	var doc yaml.Node
	if err := unmarshal(data, &doc); err != nil {
		b.syntax(err)
		return
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		b.fail(Error{Source: name}, "a study needs at least a line such as: model: random:smollm2-135m", "the study file is empty")
		return
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		b.fail(b.at(root), "write keys, such as: model: random:smollm2-135m", "the study file is not a mapping of keys")
		return
	}
	b.mapping("", root)
}

// unmarshal parses YAML; the library may panic on input it did not expect.
func unmarshal(data []byte, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot parse: %v", r)
		}
	}()
	return yaml.Unmarshal(data, doc)
}

// yamlLine finds the line in a message of the YAML library.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

func (b *builder) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	at := Error{Source: b.source}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		_, _ = fmt.Sscan(m[1], &at.Line)
		at.Line = min(at.Line, len(b.lines))
		at.Col = 1
		if at.Line >= 1 {
			at.Excerpt = strings.TrimRight(b.lines[at.Line-1], "\r")
		}
		msg = msg[len(m[0]):]
	}
	b.fail(at, "", "not valid YAML: %s", msg)
}

// mapping walks the keys below a dotted prefix.
func (b *builder) mapping(prefix string, n *yaml.Node) {
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		key := prefix + k.Value
		if first, dup := seen[k.Value]; dup {
			b.fail(b.at(k), "remove one of them", "key %q appears twice; the first is in line %d", k.Value, first.Line)
			continue
		}
		seen[k.Value] = k
		b.entry(key, k, v)
	}
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// entry handles one key with its value.
func (b *builder) entry(key string, k, v *yaml.Node) {
	f, isField := lookup(key)
	switch {
	case key == "sweep":
		b.sweep(k, v)
	case isField && key == "backend" && v.Kind == yaml.SequenceNode:
		b.assign(f, b.scalars(key, v), true)
	case isField && v.Kind == yaml.SequenceNode:
		b.fail(b.at(k), "to try several values, write them under sweep:", "%s takes one value, not a list", key)
	case isField || slices.Contains(studyKeys, key):
		if text, ok := b.scalar(key, k, v); ok {
			b.set(key, text)
		}
	case isPrefix(key) && v.Kind == yaml.MappingNode:
		b.mapping(key+".", v)
	case isPrefix(key):
		b.fail(b.at(k), fmt.Sprintf("write %s: {%s: …}", key, childKeys(key)[0]), "%s holds keys, not a value", key)
	default:
		b.unknown(key, k)
	}
}

// set gives one key a value from whatever source.
func (b *builder) set(key string, v value) {
	switch key {
	case "name":
		b.name = v.text
	case "execution.cycles":
		b.wholeExecution(key, v, 1, 1000, func(n int64) { b.execution.Cycles = int(n) })
	case "execution.seed":
		b.wholeExecution(key, v, 0, 1<<53, func(n int64) { b.execution.Seed = uint64(n) })
	case "execution.order":
		if !slices.Contains(orders, v.text) {
			b.failValue(v, key, valueError(v.text, "one of "+strings.Join(orders, ", "), nearest(v.text, orders)))
			return
		}
		b.execution.Order = v.text
	default:
		f, _ := lookup(key)
		b.assign(f, []value{v}, false)
	}
}

func (b *builder) wholeExecution(key string, v value, low, high int64, set func(int64)) {
	n, err := parseWhole(v.text)
	if err != nil || n < low || n > high {
		b.failValue(v, key, valueError(v.text, fmt.Sprintf("a whole number from %d to %d", low, high), ""))
		return
	}
	set(n)
}

// unknown reports a key that does not exist, with the nearest one on its level.
func (b *builder) unknown(key string, k *yaml.Node) {
	parent, name := "", key
	if i := strings.LastIndex(key, "."); i >= 0 {
		parent, name = key[:i], key[i+1:]
	}
	b.fail(b.at(k), suggest(key), "unknown key %q%s", name, in(parent))
}

func in(parent string) string {
	if parent == "" {
		return ""
	}
	return " in " + parent
}

// suggest finds the key that was meant: a near name on the same level, or the
// same name elsewhere.
func suggest(key string) string {
	parent, name := "", key
	if i := strings.LastIndex(key, "."); i >= 0 {
		parent, name = key[:i], key[i+1:]
	}
	siblings := childKeys(parent)
	if near := nearest(name, siblings); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	for _, f := range fields {
		if strings.HasSuffix(f.key, "."+name) {
			return fmt.Sprintf("did you mean %s?", f.key)
		}
	}
	if len(siblings) == 0 {
		siblings = childKeys("")
	}
	return "known keys here: " + strings.Join(siblings, ", ")
}

// isPrefix says that keys exist below key.
func isPrefix(key string) bool { return len(childKeys(key)) > 0 }

// childKeys lists the keys directly below parent.
func childKeys(parent string) []string {
	var out []string
	add := func(key string) {
		rest := key
		if parent != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(key, parent+"."); !ok {
				return
			}
		}
		head, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(out, head) {
			out = append(out, head)
		}
	}
	for _, f := range fields {
		add(f.key)
	}
	for _, k := range studyKeys {
		add(k)
	}
	return out
}

// scalar takes the text of a scalar node.
func (b *builder) scalar(key string, k, n *yaml.Node) (value, bool) {
	at := b.at(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		b.fail(b.at(k), "", "%s takes a single value", key)
		return value{}, false
	case n.Tag == "!!null":
		b.fail(b.at(k), "give it a value or remove the key", "%s has no value", key)
		return value{}, false
	}
	return value{n.Value, at}, true
}

// scalars takes the texts of a list of scalars, with ranges expanded.
func (b *builder) scalars(key string, n *yaml.Node) []value {
	if len(n.Content) == 0 {
		b.fail(b.at(n), "give at least one value or remove the key", "%s is an empty list", key)
	}
	var out []value
	for _, item := range n.Content {
		if v, ok := b.scalar(key, item, resolve(item)); ok {
			out = append(out, b.expandRange(key, v)...)
		}
	}
	return out
}

// assign checks the values of a key and records them; a later source replaces an
// earlier one.
func (b *builder) assign(f field, values []value, axis bool) {
	var good []value
	for _, v := range values {
		scratch := DefaultExperiment()
		if err := f.set(&scratch, v.text); err != nil {
			b.failValue(v, f.key, err)
			continue
		}
		good = append(good, v)
	}
	if len(good) == 0 {
		return
	}
	a := assignment{f, good, axis}
	i := slices.IndexFunc(b.assignments, func(o assignment) bool { return o.field.key == f.key })
	if i >= 0 {
		b.assignments = slices.Delete(b.assignments, i, i+1)
	}
	b.assignments = append(b.assignments, a)
}
