package study

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/grammar"
)

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
	v := value{text: s.Value, list: s.list, at: &Error{Source: s.Flag}}
	if s.list != nil && len(s.list) == 0 {
		s.problem = "has no value"
	}
	if s.problem != "" {
		b.fail(v.at, "give a text, a number, a bool, a time.Duration, or a slice of these", "%s %s", s.Key, s.problem)
		return
	}
	key := s.Key
	if rest, ok := strings.CutPrefix(key, "sweep."); ok {
		target, isLink := strings.CutPrefix(rest, "link.")
		f, known := b.lookup(target)
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
	top := &scope{keys: b.keys, extra: studyKeys()}
	f, ok := b.lookup(key)
	switch {
	case ok:
		b.assignText(l, f, v)
	case slices.Contains([]string{"sweep", "sweep.groups", "base", "experiments"}, key):
		b.fail(v.at, "a setting takes KEY=VALUE, where a list or range of values makes an axis; "+
			"sweep.where=CONDITION and sweep.zip=KEY,KEY are possible too", "%s stands in a study file only", key)
	case top.known(key):
		b.fix(l, key, v)
	case top.isPrefix(key):
		b.fail(v.at, fmt.Sprintf("set one of its keys, such as %s.%s", key, top.children(key)[0]),
			"%s holds keys, not a value", key)
	default:
		b.fail(v.at, top.suggest(key, key), "unknown key %q", s.Key)
	}
}

// assignText splits a setting at commas; several values or a range are an axis.
func (b *builder) assignText(l *layer, f *field, v value) {
	texts := []string{v.text}
	switch {
	case v.list != nil:
		texts = v.list
	case !f.undivided:
		texts = strings.Split(v.text, ",")
	}
	var values []grammar.Value
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
