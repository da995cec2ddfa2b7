package page

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestHostileNames writes a page of a study whose texts are markup: all of them stay text.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	evil := `</script><script>alert(1)</script>" onload="x` + "\u202e" + strings.Repeat("A", 10_000)
	s := &result.StudyResult{Name: evil, Dir: evil, Experiments: []result.ExperimentSummary{
		{ID: "1", Config: study.Experiment{Model: evil, Backend: evil, DType: "a"}, Device: evil, MetricsReason: evil},
		{ID: "2", Config: study.Experiment{Model: "m", Backend: evil, DType: "b"}},
	}}
	s.Caveats.Warn("x", evil)
	for i := range s.Experiments {
		e := &s.Experiments[i]
		e.Metrics = measured(t, e.ID, "", map[string]float64{"energy.total_j": 7, "energy.per_output_token_j": 1,
			"throughput.output_tokens_per_s": 9, "latency.ttft_ms.p50": 3}).Metrics
		e.Missing = []result.Missing{{Of: "energy.phases", Reason: evil}, {Of: "latency", Reason: evil}}
	}
	s.Dir = t.TempDir()
	onDisk(t, s, 0, 400, evil)
	for name, text := range map[string]any{"doctor.json": map[string]string{"skipped": evil, "next": evil},
		"env.json": map[string]any{"cpu": map[string]string{"model": evil},
			"gpus": []any{map[string]string{"name": evil}}}} {
		b, err := json.Marshal(text)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	page := write(t, "hostile.html", s, Options{Version: evil, StudyFile: evil, Facts: []Fact{{evil, evil}}})
	if n := strings.Count(page, "<script"); n != 2 { // the data and the program
		t.Errorf("%d script elements", n)
	}
	if strings.Contains(page, `" onload="`) || strings.Contains(page, "alert(1)</script>") {
		t.Error("markup of a name is in the page")
	}
	for _, of := range []string{"src=", "href=\"http", "url("} {
		if strings.Contains(page, of) {
			t.Errorf("the page asks for something else: %q", of)
		}
	}
}

// TestPolicy checks that the policy allows the script and the style of the page as they are written.
func TestPolicy(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := Write(&b, &result.StudyResult{Name: "n"}, Options{}); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, part := range []struct{ open, end, directive string }{{"<style>", "</style>", "style-src"},
		{`<script type="module">`, "</script>", "script-src"}} {
		_, rest, found := strings.Cut(page, part.open)
		content, _, closed := strings.Cut(rest, part.end)
		if !found || !closed || !strings.Contains(html.UnescapeString(page), part.directive+" '"+hash(content)+"'") {
			t.Errorf("%s does not allow what is in the page", part.directive)
		}
	}
	if !strings.Contains(page, "default-src 'none'") {
		t.Error("the policy allows other sources")
	}
}

// TestPacked unpacks the power of a run: nothing but the resolution is lost.
func TestPacked(t *testing.T) {
	t.Parallel()
	var p figure.Power
	for i := range 1000 {
		p.T, p.W = append(p.T, -1+float64(i)*0.02), append(p.W, 300+200*math.Sin(float64(i)))
	}
	run, err := packed(p, "x")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(run.Data)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	ints := make([]int32, 2000)
	if err := binary.Read(z, binary.LittleEndian, ints); err != nil {
		t.Fatal(err)
	}
	var at, watts int64
	for i := range 1000 {
		at, watts = at+int64(ints[i]), watts+int64(ints[1000+i])
		if math.Abs(float64(at)/1e6-p.T[i]) > 1e-6 || math.Abs(float64(watts)/1e3-p.W[i]) > 1e-3 {
			t.Fatalf("reading %d is %d µs, %d mW, want %v s, %v W", i, at, watts, p.T[i], p.W[i])
		}
	}
}

// TestDecimated keeps the extremes of many readings, in their order.
func TestDecimated(t *testing.T) {
	t.Parallel()
	n := 1_000_000
	times, watts := make([]float64, n), make([]float64, n)
	for i := range n {
		times[i], watts[i] = float64(i), 100
	}
	watts[123_457], watts[777_777] = 700, 3
	ts, ws := decimated(times, watts, maxReadings)
	if len(ts) > maxReadings || slices.Max(ws) != 700 || slices.Min(ws) != 3 || !slices.IsSorted(ts) {
		t.Errorf("%d readings of %d, %v to %v, sorted %v", len(ts), n, slices.Min(ws), slices.Max(ws),
			slices.IsSorted(ts))
	}
}

// TestSpans joins the steps of a long run until the page can hold them.
func TestSpans(t *testing.T) {
	t.Parallel()
	var all []figure.Span
	for i := range 300_000 {
		at := float64(i) * 0.01
		all = append(all, figure.Span{From: at, To: at + 0.002, Phase: i / 7 % 2})
	}
	if got := spans(all); len(got) > 3*maxSpans || len(got) == 0 {
		t.Errorf("%d numbers", len(got))
	}
	two := spans([]figure.Span{{From: 0, To: 1}, {From: 1, To: 2}, {From: 2, To: 3, Phase: 1}})
	if !slices.Equal(two, []float64{0, 2, 0, 2, 3, 1}) {
		t.Errorf("neighbours are not joined: %v", two)
	}
}

// TestWithoutSeries: the series of a study were left out to save space; its page has the numbers all the same.
func TestWithoutSeries(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "study")
	if err := os.CopyFS(dir, os.DirFS("../../../../testdata/stored/queued")); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"*.parquet", "manifest.sha256"} {
		files, err := filepath.Glob(filepath.Join(dir, "runs", "*", kind))
		if err != nil || len(files) == 0 {
			t.Fatal(kind, err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := store.Open(dir)
	if s == nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := Write(&page, s.StudyResult, Options{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), `id="table"`) {
		t.Error("the page has no table")
	}
}
