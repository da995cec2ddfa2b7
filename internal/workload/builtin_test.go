package workload

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func loadBuiltin(t testing.TB) []Prompt {
	t.Helper()
	set, err := Load(Builtin)
	if err != nil {
		t.Fatal(err)
	}
	return set.Prompts
}

func TestBuiltinSizes(t *testing.T) {
	prompts := loadBuiltin(t)
	if len(prompts) < 210 {
		t.Errorf("%d built-in prompts, want at least 210", len(prompts))
	}
	var sizes []int
	for _, p := range prompts {
		n := len(p.Text)
		sizes = append(sizes, n)
		if n < 200 || n > 3500 {
			t.Errorf("%s has %d bytes, want 200 to 3500", p.ID, n)
		}
		if !utf8.ValidString(p.Text) || strings.TrimSpace(p.Text) != p.Text {
			t.Errorf("%s is not UTF-8, or has white space around it", p.ID)
		}
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median < 350 || median > 550 {
		t.Errorf("median of %d bytes, want 350 to 550", median)
	}
	if long := len(sizes) - below(sizes, 1500); long < 10 {
		t.Errorf("%d prompts of 1500 bytes and more, want at least 10", long)
	}
}

// below gives how many sorted sizes lie below limit.
func below(sizes []int, limit int) int {
	i, _ := slices.BinarySearch(sizes, limit)
	return i
}

func TestBuiltinTasks(t *testing.T) {
	prompts := loadBuiltin(t)
	count := map[string]int{}
	for _, p := range prompts {
		if p.Task == "" || !strings.HasPrefix(p.ID, p.Task+"-") {
			t.Errorf("prompt %q has task %q", p.ID, p.Task)
		}
		count[p.Task]++
	}
	if len(count) < 7 {
		t.Errorf("%d kinds of task, want at least 7: %v", len(count), count)
	}
	for task, n := range count {
		if share := float64(n) / float64(len(prompts)); share > 0.2 {
			t.Errorf("task %s is %.0f %% of the prompts", task, 100*share)
		}
	}
	first := map[string]bool{}
	for _, p := range prompts[:8] {
		first[p.Task] = true
	}
	if len(first) < 6 {
		t.Errorf("the first 8 prompts span %d tasks, want at least 6", len(first))
	}
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

// Prompts that begin alike would share cached prefixes, and prompts that are
// alike would measure one of them often.
func TestBuiltinVariety(t *testing.T) {
	prompts := loadBuiltin(t)
	ids, starts := map[string]bool{}, map[string]string{}
	words := make([]map[string]bool, len(prompts))
	for i, p := range prompts {
		if ids[p.ID] {
			t.Errorf("id %s twice", p.ID)
		}
		ids[p.ID] = true
		start := p.Text[:60]
		if other, ok := starts[start]; ok {
			t.Errorf("%s and %s start alike: %q", p.ID, other, start)
		}
		starts[start] = p.ID
		words[i] = wordSet(p.Text)
	}
	for i := range prompts {
		for j := range i {
			if s := similarity(words[i], words[j]); s > 0.5 {
				t.Errorf("%s and %s share %.0f %% of their words", prompts[i].ID, prompts[j].ID, 100*s)
			}
		}
	}
}

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		set[w] = true
	}
	return set
}

// similarity is the Jaccard index of two sets.
func similarity(a, b map[string]bool) float64 {
	both := 0
	for w := range a {
		if b[w] {
			both++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}
