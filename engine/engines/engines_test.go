package engines

import (
	"testing"

	"github.com/llenergymeasure/llem/engine"
)

// TestDescriptors checks what each engine says of itself.
func TestDescriptors(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range All() {
		if err := engine.Check(d); err != nil {
			t.Error(err)
		}
		if seen[d.Name] {
			t.Errorf("%s is listed twice", d.Name)
		}
		seen[d.Name] = true
		if got := d.New(engine.Env{}).Name(); got != d.Name {
			t.Errorf("the backend of %s calls itself %s", d.Name, got)
		}
	}
}
