package table

import (
	"fmt"
	"strings"
	"testing"
)

// figuresOf are the cells of a row.
var figures = []string{"tok/s", "TTFT", "ITL", "J/out", "J/prefill", "J/decode", "power", "energy"}

func study(names int) Table {
	keys := []string{"model", "concurrency", "gpu_memory_utilization", "top_p", "min_window", "enable_chunked_prefill",
		"kv_cache_dtype"}
	t := Table{Head: append(append([]string{}, keys[:names]...), figures...), Names: names, Title: "run", Indent: 2}
	for i := range 4 {
		cells := []string{fmt.Sprintf("/data/models/some-organisation/llama-3.%d-8b-instruct-awq.gguf", i),
			fmt.Sprint(1 << i), fmt.Sprintf("0.%d", i+5), "0.9", "default", fmt.Sprint(i%2 == 0), "fp8_e4m3"}[:names]
		t.Rows = append(t.Rows,
			append(cells, "330", "212 ms", "22.4 ms", "1.35 J", "34.2 mJ", "1.21 J", "445 W", "measured"))
	}
	return t
}

// TestNarrowTables: whatever varies, a table fits into a terminal, and each row shows by which values it differs.
func TestNarrowTables(t *testing.T) {
	for _, names := range []int{0, 1, 2, 4, 7} {
		for _, width := range []int{80, 100, 200} {
			t.Run(fmt.Sprintf("%d names in %d columns", names, width), func(t *testing.T) {
				tab := study(names)
				head, rows := tab.Lines(width)
				t.Log("\n" + head + "\n" + strings.Join(rows, "\n"))
				seen := map[string]bool{}
				for i, r := range rows {
					for line := range strings.SplitSeq(head+"\n"+r, "\n") {
						if n := Width(line); n > width {
							t.Errorf("%d columns: %s", n, line)
						}
						if strings.TrimRight(line, " ") != line {
							t.Errorf("blanks at the end of %q", line)
						}
					}
					if names > 0 && seen[r] {
						t.Errorf("two rows are the same: %s", r)
					}
					seen[r] = true
					if names > 0 && !strings.Contains(r, fmt.Sprintf("3.%d", i)) {
						t.Errorf("row %d does not show what its model differs by: %s", i, r)
					}
					if names > 3 && !strings.Contains(r, fmt.Sprintf("0.%d", i+5)) {
						t.Errorf("row %d lacks a value: %s", i, r)
					}
				}
			})
		}
	}
}

// TestStack: the three layouts.
func TestStack(t *testing.T) {
	tab := Table{Head: []string{"backend", "batch_size", "J/out"}, Names: 2, Title: "experiment", Indent: 2,
		Rows: [][]string{{"embedded", "", "1.35 J"}, {"pytorch", "8", "270 mJ"}}}
	for _, q := range []struct {
		width int
		want  string
	}{
		{0, "  backend   batch_size   J/out\n  embedded  –           1.35 J\n  pytorch   8           270 mJ"},
		{28, "  backend  batch_size  J/out\n  embedded –          1.35 J\n  pytorch  8          270 mJ"},
		{26, "  experiment         J/out\n  backend=embedded  1.35 J\n" +
			"  backend=pytorch   270 mJ\n  batch_size=8"},
		{20, "   J/out\n  backend=embedded\n  1.35 J\n  backend=pytorch\n  batch_size=8\n  270 mJ"},
	} {
		head, rows := tab.Lines(q.width)
		if got := head + "\n" + strings.Join(rows, "\n"); got != q.want {
			t.Errorf("in %d columns:\n%s\nwant\n%s", q.width, got, q.want)
		}
	}
}

// TestShorten: texts that differ still do.
func TestShorten(t *testing.T) {
	for _, q := range []struct {
		width       int
		texts, want string
	}{
		{80, "random:llama-3.1-8b random:llama-3.2-1b", "random:llama-3.1-8b random:llama-3.2-1b"},
		{10, "random:llama-3.1-8b random:llama-3.2-1b", "rand….1-8b rand….2-1b"},
		{4, "abcdef-1-xyz abcdef-2-xyz", "…def-1-xyz …def-2-xyz"},
		{4, "same-one same-one", "sa…one sa…one"},
		{9, "日本語の模型-一 日本語の模型-二", "日本…型-一 日本…型-二"},
	} {
		got := strings.Join(Shorten(strings.Fields(q.texts), q.width), " ")
		if got != q.want {
			t.Errorf("%q to %d: %q, want %q", q.texts, q.width, got, q.want)
		}
	}
}

// TestWidths: wide characters take two columns, colours none, and nothing in a cell ends a line.
func TestWidths(t *testing.T) {
	if n := Width("\x1b[31m模型\x1b[0m é"); n != 6 {
		t.Errorf("%d columns, want 6", n)
	}
	head, rows := Table{Head: []string{"m", "J"}, Names: 1,
		Rows: [][]string{{"模型", "1"}, {"a\nb\x1b[2J", "22"}}}.Lines(0)
	if got, want := head+"\n"+strings.Join(rows, "\n"), "m         J\n模型      1\na b [2J  22"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWrapStep: a next step that is a command is not broken; other steps are.
func TestWrapStep(t *testing.T) {
	for text, want := range map[string]string{
		"llem run --resume=a --retry-failed": "  next: llem run --resume=a --retry-failed\n",
		"look at llem run --resume=a":        "  next: look at llem\n    run --resume=a\n",
	} {
		if got := Wrap("  next: ", "    ", text, 20); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestMarkdown escapes what would end a cell.
// TestWrapQuoted: what is quoted for a shell stays in one piece; apostrophes quote nothing.
func TestWrapQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"continue: llem run --resume='my long folder/a b' and wait": "continue:|llem run|--resume='my long " +
			"folder/a b'|" +
			"and wait",
		"delete 'a b/summary.json': the rest is": "delete|'a b/summary.json':|the rest|is",
		"others' work and the engine's own":      "others'|work and|the|engine's|own",
		"it's 'never closed or so":               "it's|'never|closed or|so",
		"'one word' 'two  words'":                "'one word'|'two  words'",
		"paste `llem run --resume=a`, or not":    "paste|`llem run --resume=a`,|or not",
		`a 'it'\''s here' b`:                     `a|'it'\''s here'|b`,
	} {
		got := strings.ReplaceAll(strings.TrimSuffix(Wrap("", "", text, 9), "\n"), "\n", "|")
		if got != want {
			t.Errorf("%q:\n%s, want\n%s", text, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	got := Table{Head: []string{"a|b", "J"}, Names: 1, Rows: [][]string{{"x", "1"}}}.Markdown()
	if want := "| a\\|b | J |\n|---|---:|\n| x | 1 |\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestFold: lines that are too wide are broken below their second column; commands to paste are not.
func TestFold(t *testing.T) {
	const text = "short\n" +
		"  cpu         a processor with a name that is long\n" +
		"error: a reason that takes more than a line of them\n" +
		"  next: use a narrower dtype or a smaller model\n" +
		"  next: python3 -m venv torch && torch/bin/pip install torch\n" +
		"start it with a command: `sudo systemctl start docker`\n"
	const want = "short\n" +
		"  cpu         a processor with a\n" +
		"              name that is long\n" +
		"error: a reason that takes more\n  than a line of them\n" +
		"  next: use a narrower dtype or a\n    smaller model\n" +
		"  next: python3 -m venv torch && torch/bin/pip install torch\n" +
		"start it with a command:\n  `sudo systemctl start docker`\n"
	if got := Fold(text, 33); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := Fold(text, 0); got != text {
		t.Errorf("without a width: %q", got)
	}
}
