package study

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// value returns some value that the field accepts, in the form of a study file.
func anyValue(f *keys.Field, rng *rand.Rand) string {
	switch {
	case strings.HasPrefix(f.Key, "container.") && f.Kind.Enum == nil:
		return []string{"a", "'a:1'", "'pytorch=a, b'"}[rng.IntN(3)]
	case isLoad(f.Key) && f.Kind.Enum == nil:
		return anyLoadValue(f, rng)
	case f.Kind.Enum != nil:
		return f.Kind.Enum[rng.IntN(len(f.Kind.Enum))]
	case f.Kind.Whole:
		span := min(f.Kind.High-f.Kind.Low, 1000)
		return strconv.Itoa(int(f.Kind.Low) + rng.IntN(int(span)+1))
	case f.Kind.Basic == grammar.IsNumber:
		return strconv.FormatFloat(f.Kind.Low+(min(f.Kind.High, 100)-f.Kind.Low)*float64(rng.IntN(5))/4, 'g', -1, 64)
	case f.Undivided && f.Key != "energy.remote":
		return []string{"'1'", "'1,2'", "'2,4,8'"}[rng.IntN(3)]
	case strings.HasSuffix(f.Key, ".device"):
		return []string{"auto", "cpu", "cuda:1"}[rng.IntN(3)]
	case f.Key == "llamacpp.n_gpu_layers":
		return []string{"auto", "all", "12"}[rng.IntN(3)]
	case strings.HasSuffix(f.Key, ".lora"):
		return []string{"none", "random:8", "/adapters/a.gguf"}[rng.IntN(3)]
	case f.Key == "llamacpp.poll":
		return strconv.Itoa(rng.IntN(101))
	case f.Key == "energy.currency":
		return []string{"EUR", "USD", "JPY"}[rng.IntN(3)]
	case f.Key == "energy.remote":
		return "http://node:9400/metrics"
	}
	return "text-" + strconv.Itoa(rng.IntN(5))
}

// respell returns another spelling of a number with the same value.
func respell(f *keys.Field, text string, rng *rand.Rand) string {
	if f.Kind.Basic != grammar.IsNumber || f.Key == "" {
		return text
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	options := []string{text, fmt.Sprintf("%e", n), strconv.FormatFloat(n, 'f', -1, 64)}
	if !strings.ContainsAny(text, ".e") {
		options = append(options, text+".0", text+"e0")
		if n > 0 {
			options = append(options, "+"+text, text+"0e-1")
		}
	}
	s := options[rng.IntN(len(options))]
	if f.Kind.Whole {
		if v, err := grammar.ParseWhole(s); err != nil || float64(v) != n {
			return text // %e rounds
		}
	} else if v, err := strconv.ParseFloat(s, 64); err != nil || v != n {
		return text
	}
	return s
}

// write makes a study file of keys: in any order, dotted or nested.
func write(keys map[string]string, rng *rand.Rand) string {
	order := make([]string, 0, len(keys))
	for k := range keys {
		order = append(order, k)
	}
	slices.Sort(order)
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	var b strings.Builder
	nested := map[string][]string{}
	for _, k := range order {
		head, rest, dotted := strings.Cut(k, ".")
		if dotted && rng.IntN(2) == 0 {
			nested[head] = append(nested[head], rest+": "+keys[k])
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", k, keys[k])
	}
	for head, entries := range nested {
		fmt.Fprintf(&b, "%s: {%s}\n", head, strings.Join(entries, ", "))
	}
	return b.String()
}

// one returns the only experiment of a text, or nothing if its values do not fit together.
func one(t *testing.T, text string) (Experiment, bool) {
	t.Helper()
	s, err := Parse("s.yaml", []byte(text))
	if err != nil {
		if strings.Contains(err.Error(), "does not run") || strings.Contains(err.Error(), "cannot run") ||
			strings.Contains(err.Error(), "needs a GPU") ||
			strings.Contains(err.Error(), "backend does not have it") ||
			strings.Contains(err.Error(), "all requests at once") ||
			strings.Contains(err.Error(), "is temperature 0, but") ||
			strings.Contains(err.Error(), "chat_template is model, but") ||
			strings.Contains(err.Error(), "both size") || strings.Contains(err.Error(), "both choose") ||
			strings.Contains(err.Error(), ": workload.load.") || strings.Contains(err.Error(), "requests arrive in") ||
			strings.Contains(err.Error(), "the search varies it") ||
			strings.Contains(err.Error(), "has no effect") || strings.Contains(err.Error(), "is less than") {
			return Experiment{}, false
		}
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return s.Experiments[0], true
}

// often returns the number of random cases of a test: a tenth if the race detector slows each.
func often(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// TestIdentityDoesNotDependOnSpelling: order, nesting, spelling of numbers, explicit defaults, sections of other
// backends, and conversions of results do not change the ID.
func TestIdentityDoesNotDependOnSpelling(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	d := grammarOfAll().Initial
	for range often(2000) {
		backend := allKeys.Backends[rng.IntN(len(allKeys.Backends))]
		keys := map[string]string{"model": "m/n", "backend": backend}
		for _, f := range grammarOfAll().Fields {
			if f.Key != "model" && f.Key != "backend" && !isLoad(f.Key) && rng.IntN(4) == 0 &&
				(f.Section == "" || f.Section == backend) {
				keys[f.Key] = anyValue(f, rng)
			}
		}
		if rng.IntN(3) == 0 {
			maps.Copy(keys, loads[rng.IntN(len(loads))])
		}
		first, ok := one(t, write(keys, rng))
		if !ok {
			continue
		}
		same := map[string]string{}
		for k, v := range keys {
			f, _ := grammarOfAll().Lookup(k)
			same[k] = respell(f, v, rng)
		}
		for _, f := range grammarOfAll().Fields {
			_, given := keys[f.Key]
			switch {
			case f.Aside, f.Section != "" && f.Section != backend && rng.IntN(3) == 0:
				same[f.Key] = anyValue(f, rng)
			case !given && !f.Optional && !f.Unset && f.Key != "model" && rng.IntN(3) == 0 && f.Section == "":
				same[f.Key] = f.Get(d).String()
			case given && rng.IntN(3) == 0 && !f.Optional && !f.Unset && keys[f.Key] == f.Get(d).String():
				delete(same, f.Key)
			}
		}
		for _, key := range []string{"name", "execution.cycles", "execution.profile"} {
			if rng.IntN(2) == 0 {
				same[key] = map[string]string{"name": "x", "execution.cycles": "4",
					"execution.profile": "standard"}[key]
			}
		}
		text := write(same, rng)
		second, ok := one(t, text)
		if !ok || first.ID() != second.ID() {
			t.Fatalf("%v\nand\n%s\nhave the IDs %s and %s", keys, text, first.ID(), second.ID())
		}
	}
}

// tied are keys that change nothing without others, see TestMeanings.
var tied = []string{"decoding.preset", terms.LoadKey + "longer", terms.LoadKey + "search"}

// TestIdentityDependsOnEveryKey: each key that changes the measurement changes the ID.
func TestIdentityDependsOnEveryKey(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, f := range grammarOfAll().Fields {
		backend := f.Section
		if backend == "" {
			backend = Embedded
		}
		base := map[string]string{"model": "m/n", "backend": backend}
		if strings.HasPrefix(f.Key, "decoding.") && f.Key != "decoding.preset" {
			backend, base["backend"] = SGLang, SGLang
			if f.Key != "decoding.temperature" {
				base["decoding.temperature"] = "0.7"
			}
		}
		for section, method := range map[string]string{VLLM: "method", SGLang: "algorithm", TensorRT: "decoding_type"} {
			if strings.HasPrefix(f.Key, section+".") && strings.Contains(f.Key, "speculative") {
				base[section+".speculative_"+method] = "one"
			}
		}
		if f.Key == "workload.concurrency" || f.Key == "workload.chat_template" {
			backend, base["backend"] = VLLM, VLLM
		}
		if isLoad(f.Key) {
			backend, base["backend"] = VLLM, VLLM
			maps.Copy(base, loadOf(f.Key))
		}
		switch f.Key { // keys that need another key
		case "pytorch.compile":
			base["pytorch.cache_implementation"] = "static"
		case "fake.prefix_cache":
			base["fake.batching"] = "continuous"
		case "pytorch.matmul_precision":
			base["dtype"] = "float32"
		}
		first, _ := one(t, write(base, rng))
		changed, tried := false, 0
		for range 50 {
			keys := maps.Clone(base)
			keys[f.Key] = anyValue(f, rng)
			second, ok := one(t, write(keys, rng))
			if !ok || second.Backend != backend && f.Key != "backend" {
				continue
			}
			tried++
			if second.ID() != first.ID() {
				changed = true
				break
			}
		}
		if tried == 0 || changed == f.Aside && !slices.Contains(tied, f.Key) {
			t.Errorf("%s: %d values tried, ID changed: %t, aside: %t", f.Key, tried, changed, f.Aside)
		}
	}
}

// TestIdentityIsPinned: IDs name folders of results, so they must not change between versions.
func TestIdentityIsPinned(t *testing.T) {
	for text, want := range map[string]string{
		"model: m/n": "863116b0cdc5",
		"model: m/n\nworkload: {dataset: builtin-1}":                               "492e19ce7cfb",
		"model: m/n\nworkload: {dataset: p.jsonl}\nseed: 3":                        "d7baedcc6852",
		"model: m/n\nbackend: pytorch\npytorch: {batch_size: 8, device: 'cuda:1'}": "e941d9e6a314",
		"model: random:x\nbackend: fake\nfake: {speed: 2.5, batching: continuous}\nworkload: {dataset: synthetic, " +
			"prompts: 3}\nseed: 9": "e26ae5de716c",
	} {
		if e, _ := one(t, text); e.ID() != want {
			t.Errorf("%s\nhas the ID %s, want %s", text, e.ID(), want)
		}
	}
}

// TestBaselineAgeIsAside: the age limit of a baseline is not part of what is measured.
func TestBaselineAgeIsAside(t *testing.T) {
	a, _ := one(t, "model: m/n")
	b, _ := one(t, "model: m/n\nbaseline: {max_age_seconds: 0}")
	if a.ID() != b.ID() || b.Baseline.MaxAgeSeconds != 0 {
		t.Errorf("%s and %s, %g s", a.ID(), b.ID(), b.Baseline.MaxAgeSeconds)
	}
	if _, err := Parse("s.yaml", []byte("model: m/n\nsweep: {baseline.max_age_seconds: [0, 60]}")); err == nil ||
		!strings.Contains(err.Error(), "cannot be an axis") {
		t.Errorf("as an axis: %v", err)
	}
}

// TestMergingIsByID: two points are merged if and only if their IDs are equal.
func TestMergingIsByID(t *testing.T) {
	for seed := range uint64(often(200)) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var entries []string
		for range 12 {
			keys := map[string]string{"backend": []string{Embedded, Fake}[rng.IntN(2)]}
			for _, f := range []string{"seed", "dtype", "warmup.runs", "energy.pue", "embedded.threads", "fake.speed"} {
				field, _ := grammarOfAll().Lookup(f)
				if rng.IntN(2) == 0 && (field.Section == "" || field.Section == keys["backend"]) {
					keys[f] = []string{"1", "2"}[rng.IntN(2)]
					if f == "dtype" {
						keys[f] = []string{"auto", "float32"}[rng.IntN(2)]
					}
				}
			}
			var parts []string
			for k, v := range keys {
				parts = append(parts, k+": "+v)
			}
			entries = append(entries, "  - {"+strings.Join(parts, ", ")+"}")
		}
		text := "model: m/n\nexperiments:\n" + strings.Join(entries, "\n")
		s, err := Parse("s.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, e := range s.Experiments {
			ids[e.ID()] = true
		}
		separate := map[string]bool{}
		for _, entry := range entries {
			e, _ := one(t, "model: m/n\nexperiments:\n"+entry)
			separate[e.ID()] = true
		}
		if len(ids) != len(s.Experiments) || len(separate) != len(s.Experiments) || s.Merged != len(entries)-len(ids) {
			t.Fatalf("%d experiments, %d different IDs, %d of separate entries, %d merged:\n%s", len(s.Experiments),
				len(ids), len(separate), s.Merged, text)
		}
	}
}
