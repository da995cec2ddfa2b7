package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// Value is the text of a scalar and its position.
type Value struct {
	// Text of the scalar.
	Text string
	// At is its position.
	At *grammar.Error

	// list are the values that make up text, if they are given one by one.
	list []string
	// quoted reports that the file marks it as a text.
	quoted bool
}

// reader reads one study file.
type reader struct {
	*Source
	// called is the name of the file, for messages.
	called string
	lines  []string
	// runes caches the lengths of lines: a line may hold many values.
	runes map[int]int
	out   Layer
	bases []Value
	// machine reports that the file is a user's own.
	machine bool
}

// parse returns the mapping of a file, or nil after a mistake.
func (r *reader) parse(name string, data []byte) *yaml.Node {
	r.called = name
	whole := &grammar.Error{Source: name}
	if problem := checkEncoding(data); problem != "" {
		r.Fail(whole, "save it as plain UTF-8 text", "%s", problem)
		return nil
	}
	data = bytes.TrimPrefix(data, byteOrderMark)
	r.lines = strings.Split(string(data), "\n")
	docs, err := documents(data)
	if err != nil {
		r.syntax(err)
		return nil
	}
	if len(docs) == 0 || len(docs[0].Content) == 0 {
		r.Fail(whole, "a study needs at least a line such as: model: random:smollm2-135m", "the study file is empty")
		return nil
	}
	if len(docs) > 1 {
		at := whole
		if len(docs[1].Content) > 0 {
			at = r.at(docs[1].Content[0])
		}
		r.Fail(at, "remove the line --- before it, or put it into a separate file",
			"a study file holds one document, but a second one begins here")
	}
	root := docs[0].Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null" && root.Value == "":
		r.Fail(whole, "a study needs at least a line such as: model: random:smollm2-135m", "the study file is empty")
		return nil
	case root.Kind != yaml.MappingNode:
		r.Fail(r.at(root), "write keys, such as: model: random:smollm2-135m", "the study file is not a mapping of keys")
		return nil
	}
	return root
}

// documents parses YAML; the library may panic on unexpected input. Nothing after a second document is read.
func documents(data []byte) (docs []*yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot parse: %v", p)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	for len(docs) < 2 {
		doc := new(yaml.Node)
		if err := d.Decode(doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// yamlLine finds the line in a message of the YAML library.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

func (r *reader) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	at := &grammar.Error{Source: r.called}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		_, _ = fmt.Sscan(m[1], &at.Line)
		at.Line = min(at.Line, len(r.lines))
		at.Col = 1
		if at.Line >= 1 {
			at.Excerpt = strings.TrimRight(r.lines[at.Line-1], "\r")
			if e, ok := errors.AsType[*yaml.LoadError](err); ok && e.Mark.Line == at.Line && e.Mark.Column > 0 {
				at.Col = min(e.Mark.Column, utf8.RuneCountInString(at.Excerpt)+1)
			}
		}
		msg = msg[len(m[0]):]
	}
	r.Fail(at, syntaxHint(msg, at.Excerpt), "not valid YAML: %s", msg)
}

// syntaxHint returns the usual cause of a message of the YAML library.
func syntaxHint(msg, line string) string {
	switch {
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		return "indent with spaces: YAML allows no tabs there"
	case strings.Contains(msg, "mapping values are not allowed"):
		return "check the indentation; a value that holds \": \" needs quotes"
	case strings.Contains(msg, "unknown anchor"):
		return "define it with & before it is used; a value that begins with * needs quotes"
	case strings.Contains(msg, "did not find expected"):
		return "look for a bracket, brace or quote that is not closed, or for wrong indentation in the lines before"
	case strings.Contains(msg, "cannot start any token"):
		return "a value that begins with @, ` or % needs quotes"
	case strings.HasPrefix(line, "%"):
		return "remove this line"
	case strings.Contains(msg, "unexpected end of stream"):
		return "a quote is not closed"
	}
	return ""
}

// width returns the number of characters of a line.
func (r *reader) width(line int) int {
	n, ok := r.runes[line]
	if !ok {
		n = utf8.RuneCountInString(strings.TrimRight(r.lines[line-1], "\r"))
		if r.runes == nil {
			r.runes = map[int]int{}
		}
		r.runes[line] = n
	}
	return n
}

// at returns the position of a node.
func (r *reader) at(n *yaml.Node) *grammar.Error {
	e := &grammar.Error{Source: r.called, Line: n.Line, Col: n.Column, Width: utf8.RuneCountInString(n.Value)}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		e.Width += 2
	}
	if n.Line >= 1 && n.Line <= len(r.lines) {
		e.Excerpt = strings.TrimRight(r.lines[n.Line-1], "\r")
		e.Width = min(e.Width, max(1, r.width(n.Line)-e.Col+1))
	}
	return e
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// scope is a kind of mapping: the keys that it has besides the keys of an experiment.
type scope struct {
	set *keys.Set
	// in names the scope in messages: "", or " in sweep".
	in    string
	extra []string
	// leaf handles a key that exists.
	leaf func(key string, k, v *yaml.Node)
	seen map[string]*yaml.Node
}

// known reports whether the scope has the key.
func (s *scope) known(key string) bool {
	_, ok := s.set.Lookup(key)
	return ok || slices.Contains(s.extra, key)
}

// walk visits the keys below a dotted prefix. Dotted keys and nested mappings mean the same.
func (r *reader) walk(s *scope, prefix string, n *yaml.Node) {
	if s.seen == nil {
		s.seen = map[string]*yaml.Node{}
	}
	here := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		if !r.goodKey(k) {
			continue
		}
		key := prefix + k.Value
		first := here[k.Value]
		if first == nil {
			first = s.seen[key]
		}
		if first != nil {
			r.Fail(r.at(k), "remove one of them", "key %q appears twice; the first is in line %d", k.Value, first.Line)
			continue
		}
		here[k.Value] = k
		switch {
		case s.known(key):
			s.seen[key] = k
			s.leaf(key, k, v)
		case s.isPrefix(key) && v.Kind == yaml.MappingNode:
			r.tagged(v)
			r.walk(s, key+".", v)
		case s.isPrefix(key):
			r.Fail(r.at(k), fmt.Sprintf("write %s: {%s: …}", k.Value, s.children(key)[0]),
				"%s holds keys, not a value", key)
		case r.crowded():
			r.unlisted++
		case r.lacks(r.at(k), key):
		default:
			r.Fail(r.at(k), s.suggest(key, k.Value), "unknown key %q%s", k.Value, s.inside(prefix))
		}
	}
}

// goodKey refuses what YAML allows as a key beyond a name.
func (r *reader) goodKey(k *yaml.Node) bool {
	switch {
	case k.Kind == yaml.AliasNode, k.Kind != yaml.ScalarNode:
		at := r.at(k)
		at.Width = 1
		r.Fail(at, "write a plain name", "a key must be a name")
		return false
	case k.Value == "<<":
		r.Fail(r.at(k), "write the keys out, or put the shared part into a separate file and name it with base:",
			"merge keys (<<) are not supported")
		return false
	}
	return r.tagged(k)
}

// tagged refuses explicit tags: keys determine the types.
func (r *reader) tagged(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return true
	}
	at := r.at(n)
	at.Width = max(1, utf8.RuneCountInString(n.Tag))
	r.Fail(at, "remove it: the key determines the type", "the tag %s is not supported", n.Tag)
	return false
}

// inside names the place for a message about an unknown key.
func (s *scope) inside(prefix string) string {
	if prefix == "" {
		return s.in
	}
	return " in " + strings.TrimSuffix(prefix, ".") + s.in
}

// isPrefix reports whether keys exist below key.
func (s *scope) isPrefix(key string) bool { return len(s.children(key)) > 0 }

// children lists the keys directly below parent.
func (s *scope) children(parent string) []string {
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
	for _, f := range s.set.Fields {
		add(f.Key)
	}
	for _, k := range s.extra {
		add(k)
	}
	return out
}

// longestValue bounds a single value, in bytes.
const longestValue = 64 << 10

// scalar returns the text of a scalar node; k is where to point if there is none.
func (r *reader) scalar(key string, k, n *yaml.Node) (Value, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.Fail(r.at(k), "", "%s takes a single value", key)
		return Value{}, false
	case n.Tag == "!!null" && n.Style&yaml.TaggedStyle == 0:
		r.Fail(r.at(k), "give it a value or remove the key", "%s has no value", key)
		return Value{}, false
	case !r.tagged(n):
		return Value{}, false
	case len(n.Value) > longestValue:
		r.Fail(r.at(k), fmt.Sprintf("a value has at most %d bytes", longestValue), "%s has a value of %d bytes", key,
			len(n.Value))
		return Value{}, false
	}
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	return Value{Text: n.Value, quoted: quoted, At: r.at(n)}, true
}

// single returns the text of one value, which may be a list for some keys; f is nil for keys that are not fields.
func (r *reader) single(f *keys.Field, key string, k, n *yaml.Node) (Value, bool) {
	if f == nil || !f.List || n.Kind != yaml.SequenceNode {
		return r.scalar(key, k, n)
	}
	r.tagged(n)
	var texts []string
	for _, item := range n.Content {
		v, ok := r.scalar(key, k, resolve(item))
		if !ok {
			return Value{}, false
		}
		texts = append(texts, v.Text)
	}
	at := r.at(n)
	at.Width = 1
	return Value{Text: strings.Join(texts, ","), At: at}, true
}

// parse checks one value of a key.
func (b *Source) parseValue(key string, k grammar.Kind, v Value) (grammar.Value, bool) {
	if v.quoted && k.Basic != grammar.IsText {
		if _, err := k.Parse(v.Text); err == nil &&
			!slices.Contains([]string{"execution.run_timeout", "execution.study_timeout"}, key) && v.Text != keys.Auto {
			b.Fail(v.At, "remove the quotes", "%s is the text %q; want %s", key, v.Text, k.Want)
			return grammar.Value{}, false
		}
	}
	out, err := k.Parse(v.Text)
	if err != nil {
		b.failValue(v.At, key, err)
		return grammar.Value{}, false
	}
	return out, true
}
