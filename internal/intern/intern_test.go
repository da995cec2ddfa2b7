package intern

import (
	"strings"
	"testing"
	"unsafe"
)

// TestShare: equal texts of two rows are one, in lists and in embedded structs too.
func TestShare(t *testing.T) {
	type code string
	type inner struct{ Text string }
	type row struct {
		inner
		ID    code
		Codes []code
		N     int
	}
	fresh := func() row {
		return row{inner{strings.Clone("a text")}, code(strings.Clone("id")), []code{code(strings.Clone("id"))}, 1}
	}
	p, a, b := Pool{}, fresh(), fresh()
	p.Share(&a)
	p.Share(&b)
	same := func(x, y string) bool { return x == y && unsafe.StringData(x) == unsafe.StringData(y) }
	if !same(string(a.ID), string(b.ID)) || !same(string(a.ID), string(b.Codes[0])) || b.Text != "a text" || b.N != 1 {
		t.Errorf("%+v and %+v do not share their texts", a, b)
	}
}
