package disk

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/fault"
)

func TestNoSpace(t *testing.T) {
	err := CheckSpace(t.TempDir(), 1<<60)
	if fault.Class(err) != fault.DiskFull || !strings.Contains(err.Error(), "LLEM_CACHE") {
		t.Errorf("%v", err)
	}
}
