// Package effective compares what an engine was asked for with what it says that it used. Engines replace settings
// without a word: an attention backend that the GPU does not have, a chunk size that the memory does not allow. Such a
// run measures another configuration than its study names.
//
// An engine reports what it used as backend.Loaded.Settings: by the names of the keys of its section where there is
// one, dtype among them, in the words that the keys accept. A key that is not there was not read back, and nothing is
// said about it but that.
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

// DTypeKey is the one key outside of the section that engines read back.
const DTypeKey = "dtype"

// automatic leaves a setting to the engine: whatever it uses was asked for.
const automatic = "auto"

// Report is what an engine used. Keys are those of a study: vllm.attention_backend.
type Report struct {
	// Used has every key that was read back, with its value.
	Used map[string]string
	// Others are further settings of the engine that no key of the section sets.
	Others map[string]string
	// Overridden are the keys for which the engine used something else than it was asked for, in their
	// order, and Messages what is to be said of each.
	Overridden, Messages []string
	// Unread are the keys that were given and not read back.
	Unread []string
}

// Of compares the section that an engine was started with, and the dtype of its weights, with what it reports.
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

// take compares one key and takes it out of what was reported. chosen says that a value which is there was given by the
// user, and is no default of the section.
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
			r.Messages = append(r.Messages, fmt.Sprintf("%s: asked for %s, used %s", name, asked, used))
		}
	}
}

// formats are words for a kind of numbers, of which engines name the variant that they take.
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

// plain spells a value in one way.
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

// String puts a difference into words.
func (d Difference) String() string { return fmt.Sprintf("%s: %s and %s", d.Key, d.A, d.B) }

// Differences returns the settings that both read back and that are not the same, less those that the studies name:
// asked reports those. Keys of two engines are never compared, for they are not the same keys.
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
