// Package option holds what the sections of this program's engines share: bounds of keys, common conflicts, sizes
// of cache types.
package option

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/llenergymeasure/llem/engine"
)

// Highest values of keys, which no engine exceeds.
const (
	// ManySequences bounds sequences in one step.
	ManySequences = 1 << 20
	// ManyTokens bounds tokens.
	ManyTokens = 1 << 30
	// ManyDevices bounds devices, and layers.
	ManyDevices = 4096
)

// Sizes is the pattern of a [engine.List] of whole numbers above 0.
const Sizes = `^[1-9][0-9]{0,6}(,[1-9][0-9]{0,6})*$`

// mib is a mebibyte.
const mib = 1 << 20

// MiB converts mebibytes to bytes.
func MiB(n int64) int64 { return n * mib }

// CacheBits returns the size in bits of an element of a key/value cache by the name of its type; 0 leaves it to
// the model. ggml's types are blocks of 32 with a scale, some with an offset.
func CacheBits(cache string) float64 {
	switch cache {
	case "f32":
		return 32
	case "f16", "bf16", "bfloat16":
		return 16
	case "fp8", "fp8_e4m3", "fp8_e5m2", "int8":
		return 8
	case "nvfp4":
		return 4.5
	case "q8_0":
		return 8.5
	case "q5_1":
		return 6
	case "q5_0":
		return 5.5
	case "q4_1":
		return 5
	case "q4_0", "iq4_nl":
		return 4.5
	}
	return 0
}

// Named returns the values of a section under the engine's own names, see engine.Field.Own. Lists that are parts
// of an object become JSON lists.
func Named(fields []engine.Field, section map[string]any) map[string]any {
	out := maps.Clone(section)
	for _, f := range fields {
		v, given := out[f.Key]
		if !given || f.Own == "" {
			continue
		}
		delete(out, f.Key)
		object, part, nested := strings.Cut(f.Own, ".")
		if !nested {
			out[f.Own] = v
			continue
		}
		of, ok := out[object].(map[string]any)
		if !ok {
			of = map[string]any{}
			out[object] = of
		}
		if list := fmt.Sprintf("[%v]", v); f.IsList && json.Valid([]byte(list)) {
			v = json.RawMessage(list)
		}
		of[part] = v
	}
	return out
}

// Idle returns the conflict of keys that have no effect without another one; at is the key to point at.
func Idle(at, key, others string) *engine.Conflict {
	return engine.Conflictf(at, "set it, or leave the others out",
		"%s is not set; without it %s has no effect", key, others)
}

// TooShort returns the conflict of an experiment whose sequences are longer than a key allows; nil if there is
// none. Prompts of a data set may be shorter than InputTokens, so only synthetic ones count.
func TooShort(key string, most int, j engine.Job) *engine.Conflict {
	if most == 0 || !j.Synthetic || j.InputTokens+j.OutputTokens <= most {
		return nil
	}
	return engine.Conflictf(key, "raise it, or use a shorter workload",
		"%s %d is less than %d input and %d output tokens", key, most, j.InputTokens, j.OutputTokens)
}

// LoRA is the key lora, spelled in one way for all engines that load adapters. Is says what the adapter is to them, and
// file what the name of a file ends with, where the adapter is not a folder.
func LoRA(at *string, is, file string) engine.Field {
	want := "none, random:RANK or an absolute path"
	if file != "" {
		want = "none, random:RANK or the absolute path of a " + file + " file"
	}
	return engine.Pattern(at, "lora", want, `^(none|random:[1-9][0-9]{0,3}|/.+`+regexp.QuoteMeta(file)+`)$`,
		"LoRA adapter, not merged: "+is+", or random weights of a rank for the projections of attention",
		"none").ZeroMeans("none")
}

// Adapted is what an estimate does not know of a section with an adapter.
func Adapted(lora string) string {
	if lora == "" {
		return ""
	}
	return "lora=" + lora
}
