package near

import "testing"

func TestDistance(t *testing.T) {
	for _, q := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"batch", "batch", 0}, {"batch", "bach", 1}, {"batch", "bacth", 1}, {"h100", "h200", 1},
		{"abc", "", 3}, {"模型", "模", 1}} {
		if got := Distance(q.a, q.b); got != q.want || Distance(q.b, q.a) != got {
			t.Errorf("%q to %q: %d, want %d", q.a, q.b, got, q.want)
		}
	}
}

func TestBest(t *testing.T) {
	known := []string{"backend", "baseline", "dtype"}
	for word, want := range map[string]string{"Backned": "backend", "dtyp": "dtype", "workload": ""} {
		if got := Best(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
