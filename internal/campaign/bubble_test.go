package campaign

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// bubble runs a test with a clock of its own. The library that reads Parquet files keeps decoders for later, whose
// channels belong to the bubble in which they were made: nothing outside may use them. Two collections of garbage empty
// its pool. A test that calls t.Parallel would share the pool with tests outside of its bubble while it runs.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	empty := func() {
		for range 2 {
			runtime.GC()
		}
	}
	empty()
	defer empty()
	synctest.Test(t, test)
}
