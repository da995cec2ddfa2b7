package pace

import (
	"testing"
	"time"
)

// TestPace predicts from the runs of the same experiment where there are some.
func TestPace(t *testing.T) {
	t.Parallel()
	p := New(3)
	if _, _, known := p.Left(6, "a", 0); known {
		t.Error("known without a run")
	}
	p.Finish("a", 10*time.Second, true)
	p.Finish("b", 30*time.Second, true)
	study, run, known := p.Left(4, "b", 5*time.Second)
	if !known || study != 75*time.Second || run != 25*time.Second {
		t.Errorf("%v, %v, %v", study, run, known)
	}
	// Runs of experiments without one take as long as the mean of all, and nothing is left of one that is late.
	if study, run, _ = p.Left(5, "c", time.Hour); study != 80*time.Second || run != 0 {
		t.Errorf("%v, %v", study, run)
	}
	// A run that failed at once says nothing of runs that work, but something of its own experiment.
	p.Finish("d", time.Second, false)
	if study, _, _ = p.Left(4, "c", 0); study != 82*time.Second {
		t.Errorf("%v", study)
	}
}

// TestShared: workers share what is left, and a run is not divided.
func TestShared(t *testing.T) {
	t.Parallel()
	p := New(10)
	if _, known := p.Shared(6, nil); known {
		t.Error("known without a run")
	}
	p.Finish("a", 10*time.Second, true)
	at := func(s int) Work { return Work{"a", time.Duration(s) * time.Second} }
	for _, q := range []struct {
		open int
		crew []Work
		want time.Duration
	}{
		{8, []Work{at(0), at(0)}, 40 * time.Second},
		{8, []Work{at(10), at(10)}, 30 * time.Second},
		{2, []Work{at(2), at(8)}, 8 * time.Second},
		{1, []Work{at(3), {}}, 7 * time.Second},
		{3, []Work{at(4), at(5), {}, {}}, 10 * time.Second},
		{3, []Work{at(4), at(5)}, 15 * time.Second},
		{2, nil, 20 * time.Second},
	} {
		p.runs, p.expected = 0, 0 // only the mean of all
		if got, known := p.Shared(q.open, q.crew); !known || got != q.want {
			t.Errorf("%d open, %v: %v, want %v", q.open, q.crew, got, q.want)
		}
	}
}
