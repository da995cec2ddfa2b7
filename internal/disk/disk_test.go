package disk

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

func TestNoSpace(t *testing.T) {
	err := CheckSpace(t.TempDir(), 1<<60)
	if fault.Class(err) != codes.ClassDiskFull || !strings.Contains(err.Error(), "LLEM_CACHE") {
		t.Errorf("%v", err)
	}
}
