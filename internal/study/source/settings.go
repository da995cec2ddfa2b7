package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
)

// Settings applies the command line, where a later setting replaces an earlier one.
func (b *Source) Settings(settings []Setting) {
	for _, s := range settings {
		l := newLayer(s.Flag)
		l.Command = true
		b.setting(&l, s)
		b.merge(l)
	}
}

func (b *Source) setting(l *Layer, s Setting) {
	v := Value{Text: s.Value, list: s.List, At: &grammar.Error{Source: s.Flag}}
	if s.List != nil && len(s.List) == 0 {
		s.Problem = "has no value"
	}
	if s.Problem != "" {
		b.Fail(v.At, "give a text, a number, a bool, a time.Duration, or a slice of these", "%s %s", s.Key, s.Problem)
		return
	}
	key := s.Key
	if rest, ok := strings.CutPrefix(key, "sweep."); ok {
		target, isLink := strings.CutPrefix(rest, "link.")
		f, known := b.Lookup(target)
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
	top := &scope{set: b.Set, extra: studyKeys(b.Set)}
	f, ok := b.Lookup(key)
	switch {
	case ok:
		b.assignText(l, f, v)
	case slices.Contains([]string{"sweep", "sweep.groups", "base", "experiments"}, key):
		b.Fail(v.At, "a setting takes KEY=VALUE, where a list or range of values makes an axis; "+
			"sweep.where=CONDITION and sweep.zip=KEY,KEY are also allowed", "%s is allowed in a study file only", key)
	case top.known(key):
		b.fix(l, key, v)
	case top.isPrefix(key):
		b.Fail(v.At, fmt.Sprintf("set one of its keys, such as %s.%s", key, top.children(key)[0]),
			"%s holds keys, not a value", key)
	default:
		if !b.lacks(v.At, key) {
			b.Fail(v.At, top.suggest(key, key), "unknown key %q", s.Key)
		}
	}
}

// assignText splits a setting at commas; several values or a range are an axis.
func (b *Source) assignText(l *Layer, f *keys.Field, v Value) {
	texts := []string{v.Text}
	switch {
	case v.list != nil:
		texts = v.list
	case !f.Undivided:
		texts = strings.Split(v.Text, ",")
	}
	var values []grammar.Value
	for _, text := range texts {
		values = append(values, b.expand(f, Value{Text: strings.TrimSpace(text), At: v.At})...)
	}
	switch {
	case len(values) == 0: // a mistake has been recorded
	case len(values) == 1:
		l.Fixed = append(l.Fixed, Placed{f, values[0], v.At})
	case f.Aside:
		b.Fail(v.At, "give it one value", "%s cannot be an axis: it does not change what is measured", f.Key)
	default:
		a := plain(f, v.At, v.At, values)
		a.Command = true
		l.Axes = append(l.Axes, a)
	}
}

// zipSetting joins axes by name.
func (b *Source) zipSetting(l *Layer, v Value) {
	var names []Value
	for part := range strings.SplitSeq(v.Text, ",") {
		names = append(names, Value{Text: strings.TrimSpace(part), At: v.At})
	}
	l.zips = append(l.zips, names)
}
