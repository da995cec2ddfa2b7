package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/load"
)

func read(t *testing.T, file string, o Options) *Trace {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := Read(f, file, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func times(tr *Trace) (out []float64) {
	for _, q := range tr.Requests {
		out = append(out, float64(q.AtNS)/1e9)
	}
	return out
}

func lengths(tr *Trace) (out [][2]int) {
	for _, q := range tr.Requests {
		out = append(out, [2]int{q.Input, q.Output})
	}
	return out
}

// TestFormats: small files in the forms as published.
func TestFormats(t *testing.T) {
	for _, q := range []struct {
		file, format string
		block        int
		times        []float64
		lengths      [][2]int
		counts       Counts
	}{
		{"azure-2023.csv", "azure", 0, []float64{0, 4.314579, 4.543738, 7.41941},
			[][2]int{{374, 44}, {396, 109}, {879, 55}, {4808, 10}}, Counts{Rows: 5, Empty: 1}},
		{"azure-2024.csv", "azure", 0, []float64{0, 0.998837, 1.248837}, [][2]int{{7, 46}, {2400, 77}, {81, 12}},
			Counts{Rows: 3}},
		{"mooncake.jsonl", "mooncake", 512, []float64{0, 0, 3, 6}, [][2]int{{1300, 5}, {1600, 9}, {512, 3}, {600, 3}},
			Counts{Rows: 4}},
		{"bailian.jsonl", "bailian", 16, []float64{0, 0.386, 29.136}, [][2]int{{40, 30}, {16, 5}, {90, 12}},
			Counts{Rows: 3}},
		{"burstgpt.csv", "burstgpt", 0, []float64{0, 40, 40, 41}, [][2]int{{472, 18}, {1087, 230}, {500, 70}, {20, 10}},
			Counts{Rows: 5, Empty: 1}},
		{"burstgpt-1.csv", "burstgpt", 0, []float64{0, 40}, [][2]int{{472, 18}, {1087, 230}}, Counts{Rows: 2}},
		{"own.jsonl", "llem", 4, []float64{0, 0.25, 1.5}, [][2]int{{10, 3}, {6, 2}, {9, 1}}, Counts{Rows: 3}},
	} {
		tr := read(t, q.file, Options{})
		if tr.Format != q.format || tr.BlockTokens != q.block || !slices.Equal(times(tr), q.times) ||
			!slices.Equal(lengths(tr), q.lengths) || tr.Counts != q.counts {
			t.Errorf("%s: %s, blocks of %d, %v, %v, %+v", q.file, tr.Format, tr.BlockTokens, times(tr), lengths(tr),
				tr.Counts)
		}
	}
}

func TestConversations(t *testing.T) {
	tr := read(t, "bailian.jsonl", Options{})
	if q := tr.Requests; q[0].Parent != -1 || q[1].Parent != -1 || q[2].Parent != 0 || q[2].Session != q[0].Session ||
		q[1].Session == q[0].Session {
		t.Errorf("%+v", q)
	}
	tr = read(t, "burstgpt.csv", Options{})
	if q := tr.Requests; q[0].Session != "s-1" || q[2].Session != "s-1" || q[3].Session != "" {
		t.Errorf("%+v", q)
	}
}

func TestOptions(t *testing.T) {
	for _, q := range []struct {
		name, file string
		o          Options
		times      []float64
		counts     Counts
	}{
		{"a span", "azure-2023.csv", Options{From: 4 * time.Second, To: 5 * time.Second}, []float64{0.314579, 0.543738},
			Counts{Rows: 4, Outside: 2}},
		{"speed", "mooncake.jsonl", Options{Speed: 2}, []float64{0, 0, 1.5, 3}, Counts{Rows: 4}},
		{"a rate", "mooncake.jsonl", Options{Rate: 8}, []float64{0, 0, 0.25, 0.5}, Counts{Rows: 4}},
		{"long ones dropped", "mooncake.jsonl", Options{MaxInput: 1000}, []float64{3, 6}, Counts{Rows: 4, Dropped: 2}},
		{"long ones clipped", "mooncake.jsonl", Options{MaxInput: 1000, Clip: true}, []float64{0, 0, 3, 6},
			Counts{Rows: 4, Clipped: 2}},
		{"long answers", "mooncake.jsonl", Options{MaxOutput: 4}, []float64{3, 6}, Counts{Rows: 4, Dropped: 2}},
		{"the first two", "mooncake.jsonl", Options{Requests: 2}, []float64{0, 0}, Counts{Rows: 2}},
	} {
		tr := read(t, q.file, q.o)
		if !slices.Equal(times(tr), q.times) || tr.Counts != q.counts {
			t.Errorf("%s: %v, %+v", q.name, times(tr), tr.Counts)
		}
	}
	tr := read(t, "mooncake.jsonl", Options{MaxInput: 1000, MaxOutput: 4, Clip: true})
	if want := [][2]int{{1000, 4}, {1000, 4}, {512, 3}, {600, 3}}; !slices.Equal(lengths(tr), want) {
		t.Errorf("clipped to %v, want %v", lengths(tr), want)
	}
	if b := tr.Requests[1].Blocks; !slices.Equal(b, []int64{0, 1}) {
		t.Errorf("blocks of a clipped prompt: %v", b)
	}
}

// TestSpread: equal stamps are spread within the resolution of the clock, in order, and by the seed.
func TestSpread(t *testing.T) {
	var b strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&b, `{"timestamp": %d, "input_length": 9, "output_length": 1}`+"\n", i/10*3000)
	}
	load := func(seed uint64) []float64 {
		tr, err := Read(strings.NewReader(b.String()), "t", Options{Spread: true, Seed: seed})
		if err != nil || tr.Resolution != 3e9 {
			t.Fatal(tr, err)
		}
		return times(tr)
	}
	one := load(1)
	mean := 0.0
	for i, at := range one {
		if low := float64(i / 10 * 3); at < low || at >= low+3 || i > 0 && at < one[i-1] {
			t.Fatalf("request %d at %g", i, at)
		}
		mean += math.Mod(at, 3) / 4000
	}
	if math.Abs(mean-1.5) > 0.06 {
		t.Errorf("mean place in the bucket %g, want 1.5", mean)
	}
	if !slices.Equal(one, load(1)) || slices.Equal(one, load(2)) {
		t.Error("the spread does not follow from the seed")
	}
}

// TestPrompts: equal blocks give equal tokens, and nothing else is equal.
func TestPrompts(t *testing.T) {
	ids := []int32{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	tr := read(t, "mooncake.jsonl", Options{})
	prompt := func(i int) []int32 { return tr.Prompt(i, ids, 3) }
	a, b, c, d := prompt(0), prompt(1), prompt(2), prompt(3)
	if len(a) != 1300 || len(b) != 1600 || len(c) != 512 || len(d) != 600 {
		t.Fatalf("lengths %d %d %d %d", len(a), len(b), len(c), len(d))
	}
	if !slices.Equal(a[:1024], b[:1024]) || !slices.Equal(a[:512], c) || slices.Equal(a[1024:], b[1024:1300]) {
		t.Error("prompts do not repeat as recorded")
	}
	if !slices.Equal(a[512:600], d[512:]) || slices.Equal(a[:512], d[:512]) {
		t.Error("a block after another one differs")
	}
	if slices.Equal(a, tr.Prompt(0, ids, 4)) || !slices.Equal(a, prompt(0)) {
		t.Error("prompts do not follow from the seed")
	}
	if got, want := tr.Repeated(), (1024.0+512)/(1300+1600+512+600); math.Abs(got-want) > 1e-12 {
		t.Errorf("repeated %g, want %g", got, want)
	}
	own := read(t, "burstgpt.csv", Options{})
	if x, y := own.Prompt(0, ids, 3), own.Prompt(2, ids, 3); slices.Equal(x[:20], y[:20]) {
		t.Error("requests without blocks repeat")
	}
}

func TestMistakes(t *testing.T) {
	const azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
	const own = `{"llem_trace": 1}` + "\n"
	for _, q := range []struct{ name, text, want string }{
		{"empty", "", "t:1: the file is empty"},
		{"blank", "\n\n", "t:2: the file is empty"},
		{"another CSV", "a,b\n1,2\n", `t:1: the first line, "a,b", is not the header of a known trace`},
		{"images", "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n", "t:1: requests of this trace have images"},
		{"no rows", azure, "t:1: no request is left of 0 rows: 0 outside of the span, 0 without a prompt or an " +
			"answer, 0 longer than the limits"},
		{"columns", azure + "2023-11-16 18:15:46,374\n", "t:2: 2 columns, want the 3 of the header"},
		{"no time", azure + ",374,44\n", "t:2: the time is missing"},
		{"no number", azure + "2023-11-16 18:15:46,,44\n", "t:2: a number of tokens is missing"},
		{"a word", azure + "2023-11-16 18:15:46,many,44\n", `t:2: "many" is not a number of tokens`},
		{"half a token", azure + "2023-11-16 18:15:46,1.5,44\n", `t:2: "1.5" is not a number of tokens`},
		{"another time", azure + "16.11.2023 18:15,1,44\n",
			`t:2: "16.11.2023 18:15" is not a time such as 2023-11-16 18:17:03.9799600`},
		{"unsorted", azure + "2023-11-16 18:15:46,1,44\n2023-11-16 18:15:45,1,44\n",
			"t:3: the time is 1s before the line above"},
		{"negative", azure + "2023-11-16 18:15:46,-1,44\n",
			"t:2: -1 prompt tokens and 44 output tokens, want 0 to 10000000"},
		{"absurd", azure + "2023-11-16 18:15:46,1,99999999999\n",
			"t:2: 1 prompt tokens and 99999999999 output tokens, want 0 to 10000000"},
		{"8 days", azure + "2023-11-16 18:15:46,1,4\n2023-11-24 18:15:47,1,4\n",
			"t:3: the requests take 691201 s, of at most 604800 s (7 days)"},
		{"broken JSON", own + "{", "t:2: not an object of JSON: unexpected end of JSON input"},
		{"a text", own + `{"at_s": "1"}`, "t:2: at_s is string, want float64"},
		{"no output", own + `{"at_s": 1, "input": 2}`, "t:2: output is missing"},
		{"blocks without a size", own + `{"at_s": 1, "input": 2, "output": 3, "blocks": [1]}`,
			`t:2: blocks need their size in the first line: {"llem_trace": 1, "block_tokens": 64}`},
		{"another version", `{"llem_trace": 2}`, "t:1: version 2 with blocks of 0 tokens is not known"},
		{"too many blocks", `{"timestamp": 0, "input_length": 512, "output_length": 1, "hash_ids": [1, 2]}`,
			"t:1: 2 blocks of 512 tokens for a prompt of 512 tokens"},
		{"a negative time", `{"timestamp": -5, "input_length": 512, "output_length": 1}`,
			"t:1: the time -5 is not from 0 to 30 years"},
		{"conversations", `[{"id": "a", "conversations": []}]`, "t:1: a list of conversations has no times"},
		{"a conversation", `{"conversations": []}`, "t:1: conversations without times"},
		{"other JSON", `{"prompt": 1}`, `t:1: the first line, "{\"prompt\": 1}", is not a request of a known trace`},
		{"a long line", own + strings.Repeat("x", 17<<20), "t:2: the line is longer than 16 MiB"},
	} {
		_, err := Read(strings.NewReader(q.text), "t", Options{})
		e, ok := errors.AsType[*LineError](err)
		if !ok || err.Error() != q.want || e.NextStep() == "" {
			t.Errorf("%s: %v, want %s", q.name, err, q.want)
		}
	}
	for _, o := range []Options{{From: -1}, {From: 2, To: 1}, {Speed: -1}, {Speed: math.NaN()}, {Rate: -1}, {Rate: 1e9},
		{Rate: 2, Speed: 2}} {
		if _, err := Read(strings.NewReader(""), "t", o); err == nil || !isMistake(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func isMistake(err error) bool {
	_, ok := errors.AsType[*load.Mistake](err)
	return ok
}

// rows makes a long trace while it is read.
type rows struct {
	n, max int
	left   []byte
}

func (r *rows) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.n == r.max {
			return 0, io.EOF
		}
		var b bytes.Buffer
		if r.n == 0 {
			b.WriteString("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n")
		}
		for range 1000 {
			fmt.Fprintf(&b, "%d,GPT-4,%d,20,0,%s\n", r.n/10, 10+r.n%7, strings.Repeat("x", 100))
			r.n++
		}
		r.left = b.Bytes()
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// TestFlatMemory: what is outside of the span takes no memory.
func TestFlatMemory(t *testing.T) {
	const n = 500_000 // 60 MB
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tr, err := Read(&rows{max: n}, "t", Options{From: (n/10 - 5) * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(tr.Requests) != 50 || tr.Counts.Rows != n || tr.Counts.Outside != n-50 {
		t.Errorf("%d requests, %+v", len(tr.Requests), tr.Counts)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(tr)
}

// FuzzRead: any text gives a trace in order of time, within the limits, or an error.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 7 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, false, 0.0)
		f.Add(text, true, 3.0)
	}
	f.Fuzz(func(t *testing.T, text []byte, odd bool, rate float64) {
		tr, err := Read(bytes.NewReader(text), "t", Options{Clip: odd, Spread: odd, Rate: rate, MaxInput: 5000})
		if err != nil {
			return
		}
		last := int64(0)
		for i, q := range tr.Requests {
			if q.AtNS < last || q.Input < 1 || q.Input > 5000 || q.Output < 1 || q.Parent >= i ||
				q.AtNS > int64(load.MaxDuration)+tr.Resolution {
				t.Fatalf("request %d: %+v", i, q)
			}
			last = q.AtNS
			if n := len(tr.Prompt(i, []int32{1, 2, 3}, 1)); n != q.Input {
				t.Fatalf("a prompt of %d tokens, want %d", n, q.Input)
			}
		}
		if r := tr.Repeated(); r < 0 || r > 1 {
			t.Fatalf("repeated %g", r)
		}
	})
}

// TestSummaryText: the counts that are not zero are told.
func TestSummaryText(t *testing.T) {
	for _, q := range []struct {
		s    Summary
		want string
	}{
		{Summary{Rows: 5, Requests: 5}, "all 5 requests"},
		{Summary{Rows: 20, Requests: 9, Dropped: 4, Clipped: 3, Empty: 2, Outside: 5}, "9 requests of 20 rows read: " +
			"4 dropped as longer than the limits, 3 shortened to the limits, 2 without a prompt or an answer, 5 " +
			"outside of the span"},
		{Summary{Rows: 3, Requests: 3, Clipped: 1}, "3 requests of 3 rows read: 1 shortened to the limits"},
	} {
		if got := q.s.Text(); got != q.want {
			t.Errorf("%q, want %q", got, q.want)
		}
	}
}
