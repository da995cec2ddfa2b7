// Package effective compares an engine's requested settings with the settings that it reports as used. Engines
// replace settings silently: an attention backend that the GPU does not support, a chunk size that the memory does
// not allow. Such a run measures another configuration than its study names.
//
// An engine reports its settings as backend.Loaded.Settings: by the keys of its section if there is one, including
// dtype, in the words that the keys accept. A key that is missing was not read back, and only that is reported.
package effective

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/about"
	"github.com/llenergymeasure/llem/internal/grammar"
)

// DTypeKey is the only key outside of the section that engines read back.
const DTypeKey = "dtype"

// automatic leaves a setting to the engine: any value satisfies it.
const automatic = "auto"

// Report is what an engine used. Keys are study keys: vllm.attention_backend.
type Report struct {
	// Used has every key that was read back, with its value.
	Used map[string]string
	// Others are further settings of the engine without a key in the section.
	Others map[string]string
	// Overridden are the keys whose used value differs from the requested one, in order; Messages has a message for
	// each.
	Overridden, Messages []string
	// Unread are the keys that were given but not read back.
	Unread []string
}

// Of compares the section that an engine was started with, and the dtype of its weights, with the settings it
// reports.
func Of(d *engine.Descriptor, section engine.JSON, dtype string, reported map[string]string) Report {
	r := Report{Used: map[string]string{}, Others: map[string]string{}}
	rest := map[string]string{}
	maps.Copy(rest, reported)
	r.take(DTypeKey, DTypeKey, dtype, false, rest)
	s, err := about.Read(d, section)
	if err == nil {
		for _, f := range s.Fields() {
			slot := grammar.Slot(f)
			asked := ""
			if slot.Given() {
				asked = slot.Kind().Format(slot.Get())
			}
			r.take(d.Name+"."+f.Key, f.Key, asked, f.IsOptional || f.OmitsZero, rest)
		}
	}
	r.Others = rest
	return r
}

// take compares one key and removes it from reported. chosen reports that a value was given by the user and is not
// a default of the section.
func (r *Report) take(name, key, asked string, chosen bool, reported map[string]string) {
	used, read := reported[key]
	delete(reported, key)
	switch {
	case !read && asked != "" && asked != automatic && chosen:
		r.Unread = append(r.Unread, name)
	case !read:
	default:
		r.Used[name] = used
		if asked != "" && asked != automatic && !same(asked, used) {
			r.Overridden = append(r.Overridden, name)
			r.Messages = append(r.Messages, fmt.Sprintf("%s: requested %s, used %s", name, asked, used))
		}
	}
}

// formats are names of format families, for which engines report the variant they use.
var formats = []string{"fp8", "int8", "fp4", "int4"}

// same reports whether two words for a value mean the same.
func same(asked, used string) bool {
	asked, used = plain(asked), plain(used)
	if asked == used {
		return true
	}
	if slices.Contains(formats, asked) && strings.HasPrefix(used, asked+"_") {
		return true
	}
	if kind, _, numbered := strings.Cut(used, ":"); numbered && kind == asked { // one device of the kind
		return true
	}
	a, errA := strconv.ParseFloat(asked, 64)
	b, errB := strconv.ParseFloat(used, 64)
	return errA == nil && errB == nil && math.Abs(a-b) <= 1e-6*max(math.Abs(a), math.Abs(b))
}

// plain normalises the spelling of a value.
func plain(text string) string {
	text = strings.ToLower(strings.Trim(strings.ReplaceAll(text, " ", ""), "[]()"))
	text = strings.TrimPrefix(text, "torch.")
	switch text {
	case "bf16":
		return "bfloat16"
	case "half", "fp16":
		return "float16"
	case "fp32":
		return "float32"
	case "null":
		return "none"
	}
	return text
}

// Difference is a setting that two engines used differently.
type Difference struct {
	Key  string `json:"key"`
	A, B string `json:"-"`
}

// String describes the difference.
func (d Difference) String() string { return fmt.Sprintf("%s: %s and %s", d.Key, d.A, d.B) }

// Differences returns the settings that both engines read back with different values, except the settings that the
// studies name: asked reports these. Keys of two different engines are never compared, because they differ in
// meaning.
func Differences(a, b map[string]string, asked func(key string) bool) []Difference {
	var out []Difference
	for key, value := range a {
		other, both := b[key]
		if both && !same(value, other) && !asked(key) {
			out = append(out, Difference{key, value, other})
		}
	}
	slices.SortFunc(out, func(a, b Difference) int { return cmp.Compare(a.Key, b.Key) })
	return out
}
