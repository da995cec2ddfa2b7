package study

import (
	"errors"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// linked reads keys that take the value of an expression.
func (r *reader) linked(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.fail(r.at(k), "write link: {vllm.max_num_seqs: pytorch.batch_size}",
			"link holds keys with the keys that they follow")
		return
	}
	r.tagged(n)
	s := &scope{keys: r.keys, in: " in link"}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, _ := r.lookup(key)
		if text, ok := r.scalar("link: "+key, k, v); ok {
			r.link(&r.out, f, text)
		}
	}
	r.walk(s, "", n)
}

// link checks one link.
func (b *builder) link(l *layer, f *field, v value) {
	if f.key == "backend" {
		b.fail(v.at, "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}",
			"backend cannot be linked")
		return
	}
	e, err := b.compile(v.text)
	if err != nil {
		b.failExpression("link: "+f.key, v, err)
		return
	}
	switch {
	case e.basic != f.kind.Basic:
		b.fail(v.at, "", "link: %s takes %s, but %s is %s", f.key, f.kind.Basic, v.text, e.basic)
		return
	case len(e.keys) == 0 && !e.batch:
		b.fail(v.at, "write the value outside of link", "link: %s follows no key", f.key)
		return
	}
	l.links = append(l.links, link{f, e, v.at})
}

// conditions reads where.
func (r *reader) conditions(k, n *yaml.Node) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		r.tagged(n)
		items = n.Content
	}
	r.out.where = []condition{}
	for _, item := range items {
		item = resolve(item)
		if item.Kind == yaml.MappingNode || item.Kind == yaml.SequenceNode {
			r.fail(r.at(k), "quote the condition: where: [\"workload.input_tokens * batch <= 8192\"]",
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
func (b *builder) condition(l *layer, v value) {
	e, err := b.compileCondition(v.text)
	if err != nil {
		b.failExpression("where", v, err)
		return
	}
	l.where = append(l.where, condition{e, v.text, v.at, l.command})
}

// failExpression points at the place in an expression.
func (b *builder) failExpression(what string, v value, err error) {
	e, ok := errors.AsType[*syntaxError](err)
	if !ok {
		b.failValue(v.at, what, err)
		return
	}
	at := *v.at
	skip := 0
	if v.quoted {
		skip = 1
	}
	// The position inside is exact where the text stands in one line as it is.
	if at.Line > 0 && strings.HasPrefix(suffix(at.Excerpt, at.Col-1+skip), v.text) {
		at.Col += skip + e.from
		at.Width = max(1, min(e.width, utf8.RuneCountInString(v.text)-e.from))
		b.fail(&at, e.hint, "%s %s", what, e.msg)
		return
	}
	b.fail(&at, e.hint, "%s: %s: it %s", what, strings.TrimSpace(v.text), e.msg)
}

// suffix is s without its first n runes.
func suffix(s string, n int) string { return s[len(prefix(s, n)):] }
