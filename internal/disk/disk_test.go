package disk

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
)

func TestNoSpace(t *testing.T) {
	err := CheckSpace(t.TempDir(), 1<<60)
	if fault.Class(err) != note.ClassDiskFull || !strings.Contains(err.Error(), "LLEM_CACHE") {
		t.Errorf("%v", err)
	}
}
