package source

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/llenergymeasure/llem/internal/study/keys"
)

// groups reads the named lists of maps.
func (r *reader) groups(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.Fail(r.at(k), groupForm, "groups holds names with lists of entries")
		return
	}
	r.tagged(n)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, list := n.Content[i], resolve(n.Content[i+1])
		if !r.goodKey(name) {
			continue
		}
		if line, dup := seen[name.Value]; dup {
			r.Fail(r.at(name), "remove one of them", "group %q appears twice; the first is in line %d", name.Value,
				line)
			continue
		}
		seen[name.Value] = name.Line
		if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
			r.Fail(r.at(name), groupForm, "the group %q needs a list of entries", name.Value)
			continue
		}
		r.group(name, list)
	}
}

const groupForm = "write groups: {NAME: [{}, {dtype: float16, pytorch.batch_size: [1, 8]}]}; {} changes nothing"

// group reads the entries of one group.
func (r *reader) group(name, list *yaml.Node) {
	r.tagged(list)
	a := &Axis{Form: GroupAxis, Name: name.Value, At: r.at(name)}
	for i, item := range list.Content {
		item = resolve(item)
		where := fmt.Sprintf("entry %d of the group %s", i+1, name.Value)
		if item.Kind != yaml.MappingNode {
			r.Fail(r.at(item), groupForm, "%s is not a map of keys", where)
			continue
		}
		r.tagged(item)
		var members []*Axis
		s := &scope{set: r.Set, in: " in " + where}
		s.leaf = func(key string, k, v *yaml.Node) {
			f, _ := r.Lookup(key)
			if m := r.plain(f, k, v); m != nil {
				members = append(members, m)
			}
		}
		r.walk(s, "", item)
		r.ownKeys(where, members)
		if len(members) != len(s.seen) {
			continue // a mistake has been recorded
		}
		if !r.grid(a, members) {
			return
		}
	}
	if len(a.Choices) > 0 {
		r.out.Axes = append(r.out.Axes, a)
	}
}

// ownKeys reports keys of another backend's section in an entry that names its backend.
func (r *reader) ownKeys(where string, members []*Axis) {
	i := slices.IndexFunc(members, func(m *Axis) bool { return m.Name == "backend" })
	if i < 0 {
		return
	}
	for _, m := range members {
		section := m.Keys[0].F.Section
		if section != "" && !slices.ContainsFunc(members[i].Choices,
			func(c []Assign) bool { return c[0].V.Text == section }) {
			r.Fail(m.At, "remove the key, or set its backend", "%s sets %s, but its backend is %s", where, m.Name,
				members[i].Choices[0][0].V.Text)
		}
	}
}

// grid appends the product of an entry's lists to the choices of a group.
func (r *reader) grid(a *Axis, members []*Axis) bool {
	n := 1
	for _, m := range members {
		for _, k := range m.Keys {
			if !a.Has(k.F) {
				a.Keys = append(a.Keys, k)
			}
		}
		if n *= len(m.Choices); len(a.Choices)+n > keys.MaxPoints {
			r.Fail(a.At, "use fewer values", "%s has more than %d choices", a, keys.MaxPoints)
			return false
		}
	}
	for i := range n {
		c := make([]Assign, len(members))
		rest := i
		for j := len(members) - 1; j >= 0; j-- {
			size := len(members[j].Choices)
			c[j] = members[j].Choices[rest%size][0]
			rest /= size
		}
		a.Choices = append(a.Choices, c)
	}
	return true
}

// zips reads the axes that advance together: a list of lists of keys that are axes,
// or of maps of keys with their values.
func (r *reader) zips(k, n *yaml.Node) {
	const form = "write zip: [{workload.input_tokens: [128, 1024], workload.output_tokens: [64, 8]}], or zip: " +
		"[[KEY, KEY]] for axes of the sweep"
	items := n.Content
	switch n.Kind {
	case yaml.MappingNode:
		items = []*yaml.Node{n}
	case yaml.SequenceNode:
		r.tagged(n)
		if len(items) > 0 && !slices.ContainsFunc(items,
			func(i *yaml.Node) bool { return resolve(i).Kind != yaml.ScalarNode }) {
			items = []*yaml.Node{n} // one list of names
		}
	default:
		r.Fail(r.at(k), form, "zip holds lists of keys")
		return
	}
	r.out.hasZips = true
	for _, item := range items {
		item = resolve(item)
		r.tagged(item)
		switch item.Kind {
		case yaml.SequenceNode:
			if names := r.names(k, item); len(names) > 0 {
				r.out.zips = append(r.out.zips, names)
			}
		case yaml.MappingNode:
			r.zipMap(item)
		default:
			r.Fail(r.at(item), form, "zip holds lists of keys")
		}
	}
}

// names reads a list of axis names.
func (r *reader) names(k, n *yaml.Node) []Value {
	var names []Value
	for _, item := range n.Content {
		if v, ok := r.scalar("zip", k, resolve(item)); ok {
			names = append(names, v)
		}
	}
	return names
}

func (r *reader) zipMap(n *yaml.Node) {
	var members []*Axis
	s := &scope{set: r.Set, in: " in zip"}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, _ := r.Lookup(key)
		if key == "backend" {
			r.Fail(r.at(k), "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}",
				"zip cannot hold backend")
			return
		}
		if m := r.plain(f, k, v); m != nil {
			members = append(members, m)
		}
	}
	before := r.mistakes()
	r.walk(s, "", n)
	if r.mistakes() > before {
		return
	}
	if joined := r.join(r.at(n), members); joined != nil {
		r.out.Axes = append(r.out.Axes, joined)
	}
}
