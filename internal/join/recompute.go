package join

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// Difference is a number of a record that recomputing from the raw files does not reproduce.
type Difference struct {
	Key      string `json:"key"`
	Recorded any    `json:"recorded"`
	Computed any    `json:"computed"`
}

// Recomputed is the outcome for one run.
type Recomputed struct {
	Run     string       `json:"run"`
	Status  string       `json:"status"`
	Numbers int          `json:"numbers"`
	Differ  []Difference `json:"differ"`
	// Skipped is why there is nothing to compare.
	Skipped string `json:"skipped,omitempty"`
	// Error is why the run cannot be read, and Next the next step, also for numbers that differ.
	Error string `json:"error,omitempty"`
	Next  string `json:"next,omitempty"`
	// NoSeries reports that all series of the run are missing.
	NoSeries bool `json:"no_series,omitempty"`
	// Files describes the files that differ from their checksums.
	Files []string `json:"files,omitempty"`
}

// otherVersion explains how to distinguish a change of method from damage, if another version of this program
// computed the numbers.
func (out *Recomputed) otherVersion(madeBy, now string) {
	switch {
	case len(out.Differ) == 0 || madeBy == now && madeBy != "":
		return
	case madeBy == "":
		madeBy = "an earlier version; env.json names its commit"
	}
	out.Next = fmt.Sprintf("the numbers were computed by another version of llem (%s), and methods may have "+
		"changed since. Recompute "+
		"with that version to rule out damage", madeBy)
}

// Recompute recomputes the numbers of a run from its files and compares them with its record. Values that do
// not follow from the series (the environment, memory, the shape of the model) are taken from the record.
// Words that identify a number are also compared, and whether the run is excluded from comparisons.
func Recompute(dir string) Recomputed {
	out := Recomputed{Run: filepath.Base(dir), Differ: []Difference{}}
	rec, err := result.ReadRecord(filepath.Join(dir, result.RecordFile))
	if err != nil {
		return out.failed(err, "keep the folder and run the experiment again")
	}
	out.Status = string(rec.Status)
	if rec.Status != result.OK {
		out.Skipped = "the run has no numbers: it is " + out.Status
		if f := rec.Failure; f != nil && string(f.Class) != out.Status {
			out.Skipped += " (" + string(f.Class) + ")"
		}
		return out
	}
	m, recorded, err := Read(dir, rec)
	if err != nil {
		return out.failed(err,
			"restore the file from a copy of the folder; without it the numbers cannot be checked, only measured again")
	}
	again := again(rec)
	computed := Compute(m, again, nil)
	if latencies.Earlier(recorded.Requests) {
		again.Latency = asEarlier(m.Requests, rec.Latency)
	}
	added, err := addedSince(dir)
	if err != nil {
		return out.failed(err, "keep the folder and run the experiment again")
	}
	had, has := flat(rec), flat(again)
	maps.DeleteFunc(has, func(key string, _ any) bool { return had[key] == nil && added(key) })
	maps.DeleteFunc(had, func(key string, v any) bool { return v == nil && added(key) })
	out.compare(had, has)
	out.compare(flatShares(recorded.Requests), flatShares(computed.Requests))
	out.otherVersion(rec.Program, host.CurrentBuild().Name())
	return out
}

// addedSince returns a function that reports whether the version that wrote a record lacked a number: its
// key, or the key of the object around it, is missing. Keys that were removed later show in the checksums of
// the files.
func addedSince(dir string) (func(key string) bool, error) {
	text, err := disk.ReadFile(filepath.Join(dir, result.RecordFile), disk.MaxDocument)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	return func(key string) bool {
		var at any = tree
		for part := range strings.SplitSeq(key, ".") {
			object, ok := at.(map[string]any)
			if !ok {
				return false
			}
			if at, ok = object[part]; !ok {
				return len(object) > 0
			}
		}
		return false
	}, nil
}

// failed returns the outcome for a run that cannot be read.
func (out Recomputed) failed(err error, next string) Recomputed {
	out.Error, out.Next = err.Error(), next
	return out
}

// flatShares lists the energies of the requests by row.
func flatShares(requests []series.Request) map[string]any {
	all := map[string]any{}
	for i, q := range requests {
		for name, v := range map[string]*float64{"prefill_j": q.PrefillJ, "decode_j": q.DecodeJ} {
			key := fmt.Sprintf("requests.parquet.%d.%s", i, name)
			all[key] = nil
			if v != nil {
				all[key] = *v
			}
		}
	}
	return all
}

// again returns a copy of the record without the computed numbers.
func again(r *result.Record) *result.Record {
	n := *r
	window := *r.Window
	n.Window = &window
	n.Tokens, n.Latency, n.Throughput, n.GPU = nil, nil, nil, nil
	n.Energy = result.Energy{Provenance: result.None, Sources: []string{}, Devices: []result.Device{}}
	n.Warnings = nil
	if r.Compute != nil {
		c := *r.Compute
		c.FLOPsPerJ = nil
		n.Compute = &c
	}
	if r.Harness != nil {
		h := *r.Harness
		h.EnergyJ = nil
		n.Harness = &h
	}
	return &n
}

// compare records each number, null or word that differs.
func (out *Recomputed) compare(recorded, computed map[string]any) {
	keys := slices.Collect(maps.Keys(recorded))
	for k := range computed {
		if _, ok := recorded[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, byKey)
	for _, k := range keys {
		x, y := recorded[k], computed[k]
		if isString(x) || isString(y) {
			if x != y && slices.Contains(words, k[strings.LastIndexByte(k, '.')+1:]) {
				out.Differ = append(out.Differ, Difference{k, x, y})
			}
			continue
		}
		out.Numbers++
		if !same(x, y) {
			out.Differ = append(out.Differ, Difference{k, x, y})
		}
	}
}

// byKey orders dotted keys, with numbers by value.
func byKey(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, err1 := strconv.Atoi(x[i])
		n, err2 := strconv.Atoi(y[i])
		c := cmp.Compare(x[i], y[i])
		if err1 == nil && err2 == nil {
			c = cmp.Compare(m, n)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

// words are the keys of texts that identify a number. Other texts are explanations, whose wording may differ
// between versions.
var words = []string{"work", "provenance", "scope", "verdict", "source", "device", "kind"}

func isString(v any) bool {
	_, ok := v.(string)
	return ok
}

// tolerance is the relative difference that rounding may cause.
const tolerance = 1e-9

func same(a, b any) bool {
	x, isX := a.(float64)
	y, isY := b.(float64)
	if isX && isY {
		return math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y))+1e-12
	}
	return a == b
}

// flat returns the computed values by dotted key.
func flat(r *result.Record) map[string]any {
	part := map[string]any{"window": r.Window.DurationS, "tokens": r.Tokens, "latency": r.Latency,
		"throughput": r.Throughput,
		"load":       r.Load,
		"energy":     r.Energy, "compute": r.Compute, "harness": r.Harness, "gpu": r.GPU,
		"warnings": map[string]note.Code{"work": unequal(r)}}
	text, err := json.Marshal(part)
	if err != nil {
		return map[string]any{"": fmt.Sprintf("cannot be encoded: %v", err)}
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil
	}
	out := map[string]any{}
	flatten("", tree, out)
	return out
}

func flatten(key string, v any, out map[string]any) {
	join := func(name string) string {
		if key == "" {
			return name
		}
		return key + "." + name
	}
	switch t := v.(type) {
	case map[string]any:
		for k, w := range t {
			flatten(join(k), w, out)
		}
	case []any:
		for i, w := range t {
			flatten(join(fmt.Sprint(i)), w, out)
		}
	default:
		out[key] = v
	}
}

// unequal returns why a record is excluded, unless its machine is the reason: the raw files do not tell which machine
// the study began on.
func unequal(r *result.Record) note.Code {
	own := *r
	own.Warnings = slices.DeleteFunc(slices.Clone(r.Warnings), func(n note.Note) bool {
		return n.Code == codes.MachineMixed
	})
	return own.Unequal()
}
