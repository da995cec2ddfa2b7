package workload

import "testing"

// TestConverse: each turn but the first continues the one before it, after a time to think of the given mean.
func TestConverse(t *testing.T) {
	reqs := make([]Request, 3000)
	for i := range reqs {
		reqs[i] = Request{ID: i, Tokens: []int32{1}}
	}
	alone := Hash(reqs)
	Converse(reqs, 3, 2, 1)
	sum := 0.0
	for i, q := range reqs {
		if first := i%3 == 0; first != (q.After == nil) || !first && *q.After != i-1 || q.WaitNS < 0 {
			t.Fatalf("request %d: %+v", i, q)
		}
		sum += float64(q.WaitNS) / 1e9
	}
	if mean := sum / 2000; mean < 1.8 || mean > 2.2 {
		t.Errorf("a mean time to think of %v s, want 2", mean)
	}
	if Hash(reqs) == alone {
		t.Error("conversations are the same work as single requests")
	}
}
