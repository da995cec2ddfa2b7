package engines_test

import (
	"testing"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/result"
)

// TestSimulated: results call energy simulated exactly for the engines that compute nothing.
func TestSimulated(t *testing.T) {
	for _, d := range engines.All() {
		if got := result.Measured.Of(d.Name) == result.Simulated; got != d.Simulated {
			t.Errorf("%s: energy is simulated %t, the engine %t", d.Name, got, d.Simulated)
		}
	}
}
