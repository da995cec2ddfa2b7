package source

import (
	"errors"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/internal/study/expression"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// linked reads keys that take the value of an expression.
func (r *reader) linked(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.Fail(r.at(k), "write link: {vllm.max_num_seqs: pytorch.batch_size}",
			"link holds keys with the keys that they follow")
		return
	}
	r.tagged(n)
	s := &scope{set: r.Set, in: " in link"}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, _ := r.Lookup(key)
		if text, ok := r.scalar("link: "+key, k, v); ok {
			r.link(&r.out, f, text)
		}
	}
	r.walk(s, "", n)
}

// link checks one link.
func (b *Source) link(l *Layer, f *keys.Field, v Value) {
	if f.Key == "backend" {
		b.Fail(v.At, "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}",
			"backend cannot be linked")
		return
	}
	e, err := expression.Compile(b.Set, v.Text)
	if err != nil {
		b.failExpression("link: "+f.Key, v, err)
		return
	}
	switch {
	case e.Basic != f.Kind.Basic:
		b.Fail(v.At, "", "link: %s takes %s, but %s is %s", f.Key, f.Kind.Basic, v.Text, e.Basic)
		return
	case len(e.Keys) == 0 && !e.Batch:
		b.Fail(v.At, "write the value outside of link", "link: the value of %s names no other key", f.Key)
		return
	}
	l.Links = append(l.Links, Link{f, e, v.At})
}

// conditions reads where.
func (r *reader) conditions(k, n *yaml.Node) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		r.tagged(n)
		items = n.Content
	}
	r.out.Where = []Condition{}
	for _, item := range items {
		item = resolve(item)
		if item.Kind == yaml.MappingNode || item.Kind == yaml.SequenceNode {
			r.Fail(r.at(k), "quote the condition: where: [\"workload.input_tokens * batch <= 8192\"]",
				"where holds conditions, not %s", nodeName(item))
			continue
		}
		if v, ok := r.scalar("where", k, item); ok {
			r.condition(&r.out, v)
		}
	}
}

func nodeName(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		return "a map"
	}
	return "a list"
}

// condition checks one line of where.
func (b *Source) condition(l *Layer, v Value) {
	e, err := expression.CompileCondition(b.Set, v.Text)
	if err != nil {
		b.failExpression("where", v, err)
		return
	}
	l.Where = append(l.Where, Condition{e, v.Text, v.At, l.Command})
}

// failExpression reports a mistake at its position in an expression.
func (b *Source) failExpression(what string, v Value, err error) {
	e, ok := errors.AsType[*expression.SyntaxError](err)
	if !ok {
		b.failValue(v.At, what, err)
		return
	}
	if b.crowded() {
		b.unlisted++
		return
	}
	at := *v.At
	skip := 0
	if v.quoted {
		skip = 1
	}
	// The position inside is exact if the text is on one line, unmodified.
	if at.Line > 0 && strings.HasPrefix(suffix(at.Excerpt, at.Col-1+skip), v.Text) {
		at.Col += skip + e.From
		at.Width = max(1, min(e.Width, utf8.RuneCountInString(v.Text)-e.From))
		b.Fail(&at, e.Hint, "%s %s", what, e.Msg)
		return
	}
	b.Fail(&at, e.Hint, "%s: %s: it %s", what, strings.TrimSpace(v.Text), e.Msg)
}

// suffix returns s without its first n runes.
func suffix(s string, n int) string {
	r := []rune(s)
	return string(r[max(0, min(n, len(r))):])
}
