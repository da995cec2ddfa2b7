package study

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// top walks a whole file.
func (r *reader) top(root *yaml.Node) {
	s := &scope{extra: studyKeys()}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, isField := lookup(key)
		switch {
		case key == "sweep":
			r.sweep(k, v)
		case key == "experiments":
			r.experiments(k, v)
		case key == "base":
			r.basePaths(k, v)
		case isField && key == "backend" && v.Kind == yaml.SequenceNode:
			r.axis(f, k, v)
		case isField && v.Kind == yaml.SequenceNode:
			r.fail(r.at(k), "to try several values, write them under sweep:", "%s takes one value, not a list", key)
		default:
			if text, ok := r.scalar(key, k, v); ok {
				r.fix(&r.out, key, text)
			}
		}
	}
	r.walk(s, "", root)
}

// studyKeys are the keys of a file that do not describe an experiment.
func studyKeys() []string {
	keys := []string{"name", "base", "sweep", "experiments"}
	for _, f := range executionFields {
		keys = append(keys, f.key)
	}
	return keys
}

// nameKind is that of the key name.
var nameKind = textKind("the study's name")

// fix gives one key its value.
func (b *builder) fix(l *layer, key string, v value) {
	if key == "name" {
		if parsed, ok := b.parseValue(key, nameKind, v); ok {
			l.name = parsed.s
		}
		return
	}
	if x, ok := lookupExecution(key); ok {
		if parsed, ok := b.parseValue(key, x.kind, v); ok {
			l.execution[key] = executionSetting{x, parsed, v.at}
		}
		return
	}
	f, _ := lookup(key)
	if parsed, ok := b.parseValue(key, f.kind, v); ok {
		l.fixed = append(l.fixed, placed{f, parsed, v.at})
	}
}

// basePaths reads the key base.
func (r *reader) basePaths(k, n *yaml.Node) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, item := range items {
		v, ok := r.scalar("base", k, resolve(item))
		if !ok {
			continue
		}
		if _, err := textKind("the path of a study file").parse(v.text); err != nil {
			r.failValue(v.at, "base", err)
			continue
		}
		r.bases = append(r.bases, v)
	}
}

// sweepKeys are the keys of sweep that are no axes.
var sweepKeys = []string{"groups", "zip", "link", "where"}

func sweepScope() *scope { return &scope{in: " in sweep", extra: sweepKeys} }

// sweep walks the axes of a file.
func (r *reader) sweep(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.fail(r.at(k), "write sweep: {embedded.batch_size: [1, 8]}", "sweep holds keys with lists of values")
		return
	}
	r.tagged(n)
	s := sweepScope()
	s.leaf = func(key string, k, v *yaml.Node) {
		switch key {
		case "groups":
			r.groups(k, v)
		case "zip":
			r.zips(k, v)
		case "link":
			r.linked(k, v)
		case "where":
			r.conditions(k, v)
		default:
			f, _ := lookup(key)
			r.axis(f, k, v)
		}
	}
	r.walk(s, "", n)
}

// axis reads the values of one key.
func (r *reader) axis(f *field, k, n *yaml.Node) {
	if a := r.plain(f, k, n); a != nil {
		r.out.axes = append(r.out.axes, a)
	}
}

// plain makes an axis of one key, or nil after a mistake.
func (r *reader) plain(f *field, k, n *yaml.Node) *axis {
	if f.aside {
		r.fail(r.at(k), "give it one value outside of sweep", "%s is no axis: it does not change what is measured", f.key)
		return nil
	}
	values, at := r.values(f, k, n)
	if values == nil {
		return nil
	}
	return plain(f, r.at(k), at, values)
}

func plain(f *field, at, valueAt *Error, values []val) *axis {
	a := &axis{form: plainAxis, name: f.key, at: at, keys: []axisKey{{f, valueAt}}, choices: make([][]set, len(values))}
	flat := make([]set, len(values))
	for i, v := range values {
		flat[i] = set{f, v}
		a.choices[i] = flat[i : i+1 : i+1]
	}
	return a
}

// values reads a scalar, a range, or a list of both, and says where the first of them
// stands. It is nil if no value is good.
func (r *reader) values(f *field, k, n *yaml.Node) (out []val, at *Error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		r.tagged(n)
		items = n.Content
		if len(items) == 0 {
			r.fail(r.at(n), "give at least one value or remove the key", "%s is an empty list", f.key)
		}
	}
	for _, item := range items {
		item = resolve(item)
		where := item
		if n.Kind != yaml.SequenceNode {
			where = k
		}
		if item.Kind == yaml.SequenceNode || item.Kind == yaml.MappingNode {
			r.fail(r.at(where), "write a flat list of values; keys that change together are written under sweep: groups:", "%s takes single values", f.key)
			continue
		}
		v, ok := r.scalar(f.key, where, item)
		if !ok {
			continue
		}
		if at == nil {
			at = v.at
		}
		out = append(out, r.expand(f, v)...)
	}
	if len(out) > maxPoints {
		r.fail(at, "use fewer values", "%s has more than %d values", f.key, maxPoints)
		return nil, nil
	}
	return out, at
}

// rangeText matches 8..64*2, 1..9+2, 0.5..0.9+0.1 and 1..4.
var rangeText = regexp.MustCompile(`^([-+]?[0-9]+(?:\.[0-9]+)?)\.\.([-+]?[0-9]+(?:\.[0-9]+)?)(?:([*+])([0-9]+(?:\.[0-9]+)?))?$`)

// expand turns a range into its values; other text is one value.
func (b *builder) expand(f *field, v value) []val {
	if f.kind.ranges && rangeText.MatchString(v.text) {
		texts, err := expandRange(v.text)
		if err != nil {
			b.failValue(v.at, f.key+":", err)
			return nil
		}
		out := make([]val, 0, len(texts))
		for _, text := range texts {
			parsed, err := f.kind.parse(text)
			if err != nil {
				b.failValue(v.at, f.key, fmt.Errorf("in the range %s %w", v.text, err))
				return nil
			}
			out = append(out, parsed)
		}
		return out
	}
	if parsed, ok := b.parseValue(f.key, f.kind, v); ok {
		return []val{parsed}
	}
	return nil
}

// expandRange gives the values of a range as texts. The arithmetic is exact: it
// counts in units of the last decimal place.
func expandRange(text string) ([]string, error) {
	m := rangeText.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%q is no range", text)
	}
	op, by := "+", "1"
	if m[3] != "" {
		op, by = m[3], m[4]
	}
	places := max(decimals(m[1]), decimals(m[2]))
	if op == "+" {
		places = max(places, decimals(by))
	} else if decimals(by) > 0 {
		return nil, &hinted{fmt.Sprintf("the range %q has a factor with a fraction", text), "use a whole factor, or list the values"}
	}
	low, err1 := scaled(m[1], places)
	high, err2 := scaled(m[2], places)
	step, err3 := scaled(by, map[string]int{"+": places, "*": 0}[op])
	for _, err := range []error{err1, err2, err3} {
		if errors.Is(err, errLeadingZero) {
			return nil, &hinted{fmt.Sprintf("the range %q has a number with a leading zero", text), "write it without the leading zero"}
		} else if err != nil {
			return nil, fmt.Errorf("the range %q has a number that is too large", text)
		}
	}
	switch {
	case low > high:
		return nil, &hinted{fmt.Sprintf("the range %q runs downwards and is empty", text), fmt.Sprintf("write %s..%s", m[2], m[1])}
	case op == "*" && (step < 2 || low < 1), op == "+" && step < 1:
		return nil, &hinted{fmt.Sprintf("the range %q never ends", text), "use a factor of 2 or more from a number above 0, or a step above 0"}
	}
	var out []string
	for n := low; n <= high; {
		if len(out) == maxPoints {
			return nil, &hinted{fmt.Sprintf("the range %q has more than %d values", text, maxPoints), "use a larger step"}
		}
		out = append(out, unscaled(n, places))
		next := n + step
		if op == "*" {
			next = n * step
			if next/step != n {
				break
			}
		}
		if next <= n { // overflow
			break
		}
		n = next
	}
	return out, nil
}

// decimals counts the digits behind the point.
func decimals(s string) int {
	_, fraction, _ := strings.Cut(s, ".")
	return len(fraction)
}

// scaled reads a decimal number in units of 10^-places.
func scaled(s string, places int) (int64, error) {
	if _, _, _, _, err := splitDecimal(s); err != nil {
		return 0, err
	}
	return parseWhole(s + "e" + strconv.Itoa(places))
}

func unscaled(n int64, places int) string {
	s := strconv.FormatInt(n, 10)
	if places == 0 {
		return s
	}
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for len(s) <= places {
		s = "0" + s
	}
	return sign + s[:len(s)-places] + "." + s[len(s)-places:]
}

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
			r.fail(r.at(name), "remove one of them", "group %q appears twice; the first is in line %d", name.Value, line)
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
		s := &scope{in: " in " + where}
		s.leaf = func(key string, k, v *yaml.Node) {
			f, _ := lookup(key)
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
		if section != "" && !slices.ContainsFunc(members[i].choices, func(c []set) bool { return c[0].v.s == section }) {
			r.fail(m.at, "remove the key, or name its backend", "%s sets %s, but its backend is %s", where, m.name, members[i].choices[0][0].v.s)
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
	const form = "write zip: [{workload.input_tokens: [128, 1024], workload.output_tokens: [64, 8]}], or zip: [[KEY, KEY]] for axes of the sweep"
	items := n.Content
	switch n.Kind {
	case yaml.MappingNode:
		items = []*yaml.Node{n}
	case yaml.SequenceNode:
		r.tagged(n)
		if len(items) > 0 && !slices.ContainsFunc(items, func(i *yaml.Node) bool { return resolve(i).Kind != yaml.ScalarNode }) {
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
	s := &scope{in: " in zip"}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, _ := lookup(key)
		if key == "backend" {
			r.fail(r.at(k), "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}", "zip cannot hold backend")
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

// linked reads keys that take the value of an expression.
func (r *reader) linked(k, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.fail(r.at(k), "write link: {vllm.max_num_seqs: pytorch.batch_size}", "link holds keys with the keys that they follow")
		return
	}
	r.tagged(n)
	s := &scope{in: " in link"}
	s.leaf = func(key string, k, v *yaml.Node) {
		f, _ := lookup(key)
		if text, ok := r.scalar("link: "+key, k, v); ok {
			r.link(&r.out, f, text)
		}
	}
	r.walk(s, "", n)
}

// link checks one link.
func (b *builder) link(l *layer, f *field, v value) {
	if f.key == "backend" {
		b.fail(v.at, "write a group: groups: {NAME: [{backend: pytorch, pytorch.batch_size: 8}]}", "backend cannot be linked")
		return
	}
	e, err := compile(v.text)
	if err != nil {
		b.failExpression("link: "+f.key, v, err)
		return
	}
	switch {
	case e.basic != f.kind.basic:
		b.fail(v.at, "", "link: %s takes %s, but %s is %s", f.key, f.kind.basic, v.text, e.basic)
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
			r.fail(r.at(k), "quote the condition: where: [\"workload.input_tokens * batch <= 8192\"]", "where holds conditions, not %s", nodeName(item))
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
	e, err := compileCondition(v.text)
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

// experiments reads explicit points.
func (r *reader) experiments(k, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		r.fail(r.at(k), "write experiments: [{dtype: float16}, {dtype: bfloat16, workload.prompts: 8}]", "experiments holds a list of maps")
		return
	}
	r.tagged(n)
	r.out.points = []*point{}
	for i, item := range n.Content {
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			r.fail(r.at(item), "write experiments: [{dtype: float16}, {dtype: bfloat16, workload.prompts: 8}]", "entry %d of experiments is not a map of keys", i+1)
			continue
		}
		r.tagged(item)
		p := &point{number: i + 1, at: r.at(item)}
		s := &scope{in: fmt.Sprintf(" in entry %d of experiments", i+1), extra: []string{"id"}}
		s.leaf = func(key string, k, v *yaml.Node) { r.pointKey(p, key, k, v) }
		r.walk(s, "", item)
		r.out.points = append(r.out.points, p)
	}
}

func (r *reader) pointKey(p *point, key string, k, v *yaml.Node) {
	if v.Kind == yaml.SequenceNode {
		r.fail(r.at(k), "an entry is one experiment; to try several values, write them under sweep:", "%s takes one value, not a list", key)
		return
	}
	text, ok := r.scalar(key, k, v)
	switch {
	case !ok:
	case key == "id":
		p.id = &text
	default:
		f, _ := lookup(key)
		if parsed, ok := r.parseValue(key, f.kind, text); ok {
			p.sets = append(p.sets, placed{f, parsed, text.at})
		}
	}
}

// settings applies the command line, where a later setting replaces an earlier one.
func (b *builder) settings(settings []Setting) {
	for _, s := range settings {
		l := newLayer(s.Flag)
		l.command = true
		b.setting(&l, s)
		b.merge(l)
	}
}

func (b *builder) setting(l *layer, s Setting) {
	v := value{text: s.Value, at: &Error{Source: s.Flag}}
	key := s.Key
	if rest, ok := strings.CutPrefix(key, "sweep."); ok {
		target, isLink := strings.CutPrefix(rest, "link.")
		f, known := lookup(target)
		switch {
		case rest == "where":
			b.condition(l, v)
			return
		case rest == "zip":
			b.zipSetting(l, v)
			return
		case isLink && known:
			b.link(l, f, v)
			return
		case !isLink && rest != "groups":
			key = rest
		}
	}
	top := &scope{extra: studyKeys()}
	f, ok := lookup(key)
	switch {
	case ok:
		b.assignText(l, f, v)
	case slices.Contains([]string{"sweep", "sweep.groups", "base", "experiments"}, key):
		b.fail(v.at, "a setting takes KEY=VALUE, where a list or range of values makes an axis; sweep.where=CONDITION and sweep.zip=KEY,KEY are possible too", "%s stands in a study file only", key)
	case top.known(key):
		b.fix(l, key, v)
	case top.isPrefix(key):
		b.fail(v.at, fmt.Sprintf("set one of its keys, such as %s.%s", key, top.children(key)[0]), "%s holds keys, not a value", key)
	default:
		b.fail(v.at, top.suggest(key, key), "unknown key %q", s.Key)
	}
}

// assignText splits a setting at commas; several values or a range are an axis.
func (b *builder) assignText(l *layer, f *field, v value) {
	texts := []string{v.text}
	if !f.undivided {
		texts = strings.Split(v.text, ",")
	}
	var values []val
	for _, text := range texts {
		values = append(values, b.expand(f, value{text: strings.TrimSpace(text), at: v.at})...)
	}
	switch {
	case len(values) == 0: // a mistake has been recorded
	case len(values) == 1:
		l.fixed = append(l.fixed, placed{f, values[0], v.at})
	case f.aside:
		b.fail(v.at, "give it one value", "%s is no axis: it does not change what is measured", f.key)
	default:
		a := plain(f, v.at, v.at, values)
		a.command = true
		l.axes = append(l.axes, a)
	}
}

// zipSetting joins axes by name.
func (b *builder) zipSetting(l *layer, v value) {
	var names []value
	for part := range strings.SplitSeq(v.text, ",") {
		names = append(names, value{text: strings.TrimSpace(part), at: v.at})
	}
	l.zips = append(l.zips, names)
}
