package study

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

// groups reads the named lists of maps.
func (r *reader) groups(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.fail(r.at(k), groupForm, "groups holds names with lists of entries")
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
			r.fail(r.at(name), "remove one of them", "group %q appears twice; the first is in line %d", name.Value,
				line)
			continue
		}
		seen[name.Value] = name.Line
		if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
			r.fail(r.at(name), groupForm, "the group %q needs a list of entries", name.Value)
			continue
		}
		r.group(name, list)
	}
}

const groupForm = "write groups: {NAME: [{}, {dtype: float16, pytorch.batch_size: [1, 8]}]}; {} changes nothing"

// group reads the entries of one group.
func (r *reader) group(name, list *yaml.Node) {
	r.tagged(list)
	a := &axis{form: groupAxis, name: name.Value, at: r.at(name)}
	for i, item := range list.Content {
		item = resolve(item)
		where := fmt.Sprintf("entry %d of the group %s", i+1, name.Value)
		if item.Kind != yaml.MappingNode {
			r.fail(r.at(item), groupForm, "%s is not a map of keys", where)
			continue
		}
		r.tagged(item)
		var members []*axis
		s := &scope{keys: r.keys, in: " in " + where}
		s.leaf = func(key string, k, v *yaml.Node) {
			f, _ := r.lookup(key)
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
	if len(a.choices) > 0 {
		r.out.axes = append(r.out.axes, a)
	}
}

// ownKeys finds keys of another backend's section in an entry that names its backend.
func (r *reader) ownKeys(where string, members []*axis) {
	i := slices.IndexFunc(members, func(m *axis) bool { return m.name == "backend" })
	if i < 0 {
		return
	}
	for _, m := range members {
		section := m.keys[0].f.section
		if section != "" && !slices.ContainsFunc(members[i].choices,
			func(c []set) bool { return c[0].v.Text == section }) {
			r.fail(m.at, "remove the key, or name its backend", "%s sets %s, but its backend is %s", where, m.name,
				members[i].choices[0][0].v.Text)
		}
	}
}

// grid appends the product of an entry's lists to the choices of a group.
func (r *reader) grid(a *axis, members []*axis) bool {
	n := 1
	for _, m := range members {
		for _, k := range m.keys {
			if !a.has(k.f) {
				a.keys = append(a.keys, k)
			}
		}
		if n *= len(m.choices); len(a.choices)+n > maxPoints {
			r.fail(a.at, "use fewer values", "%s has more than %d choices", a, maxPoints)
			return false
		}
	}
	for i := range n {
		c := make([]set, len(members))
		rest := i
		for j := len(members) - 1; j >= 0; j-- {
			size := len(members[j].choices)
			c[j] = members[j].choices[rest%size][0]
			rest /= size
		}
		a.choices = append(a.choices, c)
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
		r.fail(r.at(k), form, "zip holds lists of keys")
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
			r.fail(r.at(item), form, "zip holds lists of keys")
		}
	}
}

// names reads a list of axis names.
func (r *reader) names(k, n *yaml.Node) []value {
	var names []value
	for _, item := range n.Content {
		if v, ok := r.scalar("zip", k, resolve(item)); ok {
			names = append(names, v)
		}
	}
	return names
}

func (r *reader) zipMap(n *yaml.Node) {
	var members []*axis
	s := &scope{keys: r.keys, in: " in zip"}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, _ := r.lookup(key)
		if key == "backend" {
			r.fail(r.at(k), "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}",
				"zip cannot hold backend")
			return
		}
		if m := r.plain(f, k, v); m != nil {
			members = append(members, m)
		}
	}
	before := len(r.errs)
	r.walk(s, "", n)
	if len(r.errs) > before {
		return
	}
	if joined := r.join(r.at(n), members); joined != nil {
		r.out.axes = append(r.out.axes, joined)
	}
}
