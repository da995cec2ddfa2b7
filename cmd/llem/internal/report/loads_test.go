package report

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
	"github.com/llenergymeasure/llem/internal/store"
	recorded "github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/study"
)

// TestTraces: the reports of runs of traces tell how many rows were left out and shortened, each once: on a terminal,
// in full for one run, and in Markdown.
func TestTraces(t *testing.T) {
	dir, err := loadstest.Folder(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := found.StudyResult
	for _, r := range s.Runs {
		r.Config.Workload.Load = study.Arrivals{Kind: "trace", Trace: "traces/azure.csv", Span: "..10m"}
		r.Load.Kind, r.Load.Trace = "trace", &recorded.Summary{Rows: 1200, Requests: 480, Dropped: 31, Clipped: 7,
			Empty: 2, Outside: 687}
	}
	const want = "azure.csv ..10m: 480 requests of 1200 rows read: 31 dropped as longer than the limits, 7 shortened " +
		"to the limits, 2 without a prompt or an answer, 687 outside of the span"
	var md strings.Builder
	if err := (Terminal{}).Markdown(&md, s); err != nil {
		t.Fatal(err)
	}
	one := *s
	one.Runs = s.Runs[:1]
	for name, text := range map[string]string{"terminal": render(t, Terminal{Width: 100}, s), "markdown": md.String(),
		"run": strings.Join(loadNotes(s.Runs[0]), " ")} {
		if n := strings.Count(strings.Join(strings.Fields(text), " "), want); n != 1 {
			t.Errorf("%s has %d times %q:\n%s", name, n, want, text)
		}
	}
}

// TestLoads compares the full report of a study with loads with testdata.
func TestLoads(t *testing.T) {
	dir, err := loadstest.Folder(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := render(t, Terminal{Width: 100}, found.StudyResult)
	golden(t, "loads.txt", strings.ReplaceAll(text, dir, "DIR"))
}
