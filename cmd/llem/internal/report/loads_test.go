package report

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
	"github.com/llenergymeasure/llem/internal/store"
)

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
