package workload

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Counts of the built-in prompts; they rise as files grow.
const (
	builtinCount = 1000
	leastKinds   = 11
	leastOfKind  = 66
)

func loadBuiltin(t testing.TB) []Prompt {
	t.Helper()
	set, err := Load(Builtin)
	if err != nil {
		t.Fatal(err)
	}
	return set.Prompts
}

// TestBuiltinLines: each line of a file of prompts is {"prompt": "…"} and nothing else.
func TestBuiltinLines(t *testing.T) {
	files, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := builtinFiles.ReadFile(path.Join("builtin", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			var fields map[string]string
			if err := json.Unmarshal([]byte(line), &fields); err != nil || len(fields) != 1 || fields["prompt"] == "" {
				t.Errorf("%s:%d: want {\"prompt\": \"…\"}, found %.60s (%v)", f.Name(), i+1, line, err)
			}
		}
	}
}

// TestBuiltinCount: the number of prompts and of kinds.
func TestBuiltinCount(t *testing.T) {
	prompts := loadBuiltin(t)
	kinds := byKind(prompts)
	if len(prompts) != builtinCount || len(kinds) < leastKinds {
		t.Errorf("%d built-in prompts of %d kinds, want %d of at least %d", len(prompts), len(kinds), builtinCount,
			leastKinds)
	}
	for kind, group := range kinds {
		if len(group) < leastOfKind || len(group) > len(prompts)/5 {
			t.Errorf("%d prompts of the kind %s, want at least %d and at most a fifth of all", len(group), kind,
				leastOfKind)
		}
		for _, p := range group {
			if !strings.HasPrefix(p.ID, kind+"-") {
				t.Errorf("prompt %s is of the kind %s", p.ID, kind)
			}
		}
	}
}

// words returns the number of words of a text; two characters of a script without spaces count as one.
func words(text string) int {
	n, ideographs := 0, 0
	for w := range strings.FieldsSeq(text) {
		here := 0
		for _, r := range w {
			if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) {
				here++
			}
		}
		if ideographs += here; here == 0 {
			n++
		}
	}
	return n + (ideographs+1)/2
}

func TestBuiltinSizes(t *testing.T) {
	prompts := loadBuiltin(t)
	var sizes []int
	for _, p := range prompts {
		n := words(p.Text)
		sizes = append(sizes, n)
		if n < 5 || n > 600 {
			t.Errorf("%s has %d words, want 5 to 600", p.ID, n)
		}
		if !utf8.ValidString(p.Text) || strings.TrimSpace(p.Text) != p.Text {
			t.Errorf("%s is not UTF-8, or has white space around it", p.ID)
		}
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median < 40 || median > 120 {
		t.Errorf("median of %d words, want 40 to 120", median)
	}
	if long := len(sizes) - below(sizes, 250); long < 10 {
		t.Errorf("%d prompts of 250 words and more, want at least 10", long)
	}
}

// below returns how many sorted sizes are below limit.
func below(sizes []int, limit int) int {
	i, _ := slices.BinarySearch(sizes, limit)
	return i
}

func TestBuiltinScripts(t *testing.T) {
	scripts := map[string]func(rune) bool{
		"han":    func(r rune) bool { return unicode.Is(unicode.Han, r) },
		"kana":   func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana) },
		"emoji":  func(r rune) bool { return r >= 0x1F300 && r <= 0x1FAFF },
		"accent": func(r rune) bool { return r > 0xBF && r < 0x250 },
		"tab":    func(r rune) bool { return r == '\t' },
	}
	for name, is := range scripts {
		if !slices.ContainsFunc(loadBuiltin(t), func(p Prompt) bool { return strings.ContainsFunc(p.Text, is) }) {
			t.Errorf("no prompt with %s", name)
		}
	}
}

// Prompts with a common beginning would share cached prefixes, and similar prompts would measure one of them
// often.
func TestBuiltinVariety(t *testing.T) {
	prompts := loadBuiltin(t)
	ids, starts := map[string]bool{}, map[string]string{}
	vocabulary, shingles := make([][]int, len(prompts)), make([][]int, len(prompts))
	numbers := map[string]int{}
	for i, p := range prompts {
		if ids[p.ID] {
			t.Errorf("id %s twice", p.ID)
		}
		ids[p.ID] = true
		start := p.Text[:min(60, len(p.Text))]
		if other, ok := starts[start]; ok {
			t.Errorf("%s and %s start alike: %q", p.ID, other, start)
		}
		starts[start] = p.ID
		vocabulary[i], shingles[i] = shinglesOf(p.Text, 1, numbers), shinglesOf(p.Text, 3, numbers)
	}
	for i := range prompts {
		for j := range i {
			if s := similarity(vocabulary[i], vocabulary[j]); s > 0.5 {
				t.Errorf("%s and %s share %.0f %% of their words", prompts[i].ID, prompts[j].ID, 100*s)
			}
			if s := similarity(shingles[i], shingles[j]); s > 0.15 {
				t.Errorf("%s and %s share %.0f %% of three words in a row", prompts[i].ID, prompts[j].ID, 100*s)
			}
		}
	}
}

// shinglesOf returns the set of the sequences of n words of a text, or the text itself if it has fewer, as sorted
// numbers.
func shinglesOf(text string, n int, numbers map[string]int) []int {
	list := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) })
	var set []int
	for i := 0; i == 0 || i+n <= len(list); i++ {
		shingle := strings.Join(list[i:min(i+n, len(list))], " ")
		if _, known := numbers[shingle]; !known {
			numbers[shingle] = len(numbers)
		}
		set = append(set, numbers[shingle])
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// similarity returns the Jaccard index of two sorted sets.
func similarity(a, b []int) float64 {
	both, total := 0, len(a)+len(b)
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			both++
			a, b = a[1:], b[1:]
		}
	}
	return float64(both) / float64(total-both)
}

func selected(t testing.TB, source string, n int, seed uint64) []Prompt {
	t.Helper()
	set, err := Load(source)
	if err != nil {
		t.Fatal(err)
	}
	got, err := set.Select(n, seed)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func idsOf(prompts []Prompt) []string {
	out := make([]string, len(prompts))
	for i, p := range prompts {
		out[i] = p.ID
	}
	return out
}

// TestSeedChoosesPrompts: equal seeds give equal prompts in equal order, other seeds others, a longer list starts
// with a shorter one, and the complete list contains every prompt once.
func TestSeedChoosesPrompts(t *testing.T) {
	first := idsOf(selected(t, Builtin, 16, 1))
	if again := idsOf(selected(t, Builtin, 16, 1)); !slices.Equal(first, again) {
		t.Errorf("seed 1 gives %v, then %v", first, again)
	}
	if longer := idsOf(selected(t, Builtin, 40, 1)); !slices.Equal(first, longer[:16]) {
		t.Errorf("of 40 the first 16 are %v, of 16 %v", longer[:16], first)
	}
	orders := map[string]bool{}
	for seed := range uint64(20) {
		ids := idsOf(selected(t, Builtin, builtinCount, seed))
		orders[strings.Join(ids[:16], " ")] = true
		slices.Sort(ids)
		if len(slices.Compact(ids)) != builtinCount {
			t.Fatalf("seed %d: %d different prompts of %d", seed, len(slices.Compact(ids)), builtinCount)
		}
	}
	if len(orders) != 20 {
		t.Errorf("20 seeds give %d orders", len(orders))
	}
}

// TestSeedSpreadsKindsAndLengths: the first n prompts contain each kind equally often, and have similar lengths
// for each seed.
func TestSeedSpreadsKindsAndLengths(t *testing.T) {
	all := loadBuiltin(t)
	kinds := len(byKind(all))
	for _, n := range []int{1, 4, 8, 16, 32, 64, 128} {
		var least, most, sum int
		const seeds = 60
		for seed := range uint64(seeds) {
			prompts, size := shuffle(all, seed)[:n], 0
			count := map[string]int{}
			for _, p := range prompts {
				count[p.Task]++
				size += min(words(p.Text), 200) // about 256 tokens
			}
			shares := slices.Collect(maps.Values(count))
			if slices.Max(shares) > (n+kinds-1)/kinds || len(count) < min(n, kinds) ||
				n >= kinds && slices.Min(shares) < n/kinds {
				t.Fatalf("seed %d: %d prompts are %v", seed, n, count)
			}
			if seed == 0 {
				least, most = size, size
			}
			least, most, sum = min(least, size), max(most, size), sum+size
		}
		mean := float64(sum) / seeds
		if n >= 16 && (float64(least) < 0.8*mean || float64(most) > 1.25*mean) {
			t.Errorf("%d prompts have %d to %d words, on average %.0f", n, least, most, mean)
		}
	}
}

// TestFirstEdition: the prompts of studies of earlier versions are unchanged.
func TestFirstEdition(t *testing.T) {
	want := []string{"qa-001", "code-001", "summarize-001", "math-001", "chat-001", "extract-001", "creative-001",
		"rewrite-001", "classify-001", "qa-002"}
	for seed := range uint64(3) {
		got := selected(t, BuiltinFirst, 225, seed)
		if ids := idsOf(got[:10]); !slices.Equal(ids, want) {
			t.Errorf("seed %d: %v, want %v", seed, ids, want)
		}
		const hash = "de2270eeb5d7dbda51c4d3d259f8c40cdb7e0bea3dfa192ded065aa918d54083"
		if h := textHash(got); h != hash {
			t.Errorf("the first edition has the hash %s, want %s", h, hash)
		}
	}
}

// TestSecondEdition: the prompts of a seed are part of the meaning of an experiment's id, so they change only
// together with the edition in package study.
func TestSecondEdition(t *testing.T) {
	const hash = "ee5f6280763487edd7da28eb2a2615a2bd1429ae96c3a222328c1960b77ee576"
	if h := textHash(selected(t, Builtin, builtinCount, 1)); h != hash {
		t.Errorf("seed 1 has the hash %s, want %s", h, hash)
	}
}

// textHash returns the hash of prompts in order, as if each byte were a token.
func textHash(prompts []Prompt) string {
	requests := make([]Request, len(prompts))
	for i, p := range prompts {
		for _, b := range []byte(p.Text) {
			requests[i].Tokens = append(requests[i].Tokens, int32(b))
		}
	}
	return Hash(requests)
}
