package page

import (
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/study"
)

// TestAnswerOfTraces: the page tells below its answer what the runs took from their trace, once.
func TestAnswerOfTraces(t *testing.T) {
	dir, err := loadstest.Folder(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range found.Runs {
		r.Config.Workload.Load = study.Arrivals{Kind: load.Trace, Trace: "traces/azure.csv"}
		r.Load.Trace = &trace.Summary{Rows: 1200, Requests: 1169, Dropped: 31}
	}
	b := builder{StudyResult: found.StudyResult}
	if err := b.answer(); err != nil {
		t.Fatal(err)
	}
	const want = "azure.csv: 1169 requests of 1200 rows read: 31 dropped as longer than the limits"
	if at := slices.Index(b.model.Others, want); at < 0 || slices.Contains(b.model.Others[at+1:], want) {
		t.Errorf("%q, want %q once", b.model.Others, want)
	}
}
