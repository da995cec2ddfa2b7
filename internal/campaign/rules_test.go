package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestFirst: the first runs equal the start of the whole order, for any number of them.
func TestFirst(t *testing.T) {
	for _, order := range terms.Orders() {
		s := newStudy(t, 3, study.Execution{Cycles: 4, Order: order, Seed: 3})
		all := batches(Order(s))
		for n := range 15 {
			want := Order(s)
			if n > 0 && n < len(want) {
				want = want[:n]
			}
			if got := batches(First(s, n)); got != batches(want) {
				t.Errorf("%s: the first %d of %s are %s", order, n, all, got)
			}
		}
	}
}

// TestLatinRows: the rows are part of what an order promises: a study that is resumed by another version goes on in it.
func TestLatinRows(t *testing.T) {
	for n, want := range map[int]string{
		3: "[[0 1 2] [2 1 0] [1 2 0] [0 2 1] [2 0 1] [1 0 2]]",
		4: "[[0 1 3 2] [1 2 0 3] [2 3 1 0] [3 0 2 1] [0 1 3 2] [1 2 0 3]]",
	} {
		var got [][]int
		for row := range 6 {
			got = append(got, latinRow(n, row))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%d experiments: %v, want %s", n, got, want)
		}
	}
}

// TestImprecise: an experiment is measured again until its own half width is the wanted one, by the runs that are
// comparable alone.
func TestImprecise(t *testing.T) {
	const metric = "energy.total_j"
	s := newStudy(t, 1, study.Execution{Cycles: 3, Until: study.Until{Metric: metric, MaxCycles: 9}})
	id := s.Experiments[0].ID()
	row := func(joules float64, warnings ...note.Code) result.Row {
		r := &result.Record{Status: result.OK}
		if !math.IsNaN(joules) {
			r.Energy.TotalJ = &result.Quantity{Value: joules}
		}
		return result.Row{ID: id, Status: result.OK, Values: result.ValuesOf(r), Warnings: warnings}
	}
	x := &schedule{Options: &Options{Study: s}, values: map[string][]float64{}}
	for _, joules := range []float64{99, 100, 101} { // ± 2.48 by Student
		x.noteValue(row(joules))
	}
	x.noteValue(row(500, codes.UnequalWork))
	x.noteValue(row(math.NaN()))
	for wanted, open := range map[float64]bool{0.02: true, 0.0248: true, 0.0249: false, 0.05: false} {
		s.Execution.Until.RelativeHalfWidth = wanted
		if got := len(x.imprecise()) > 0; got != open {
			t.Errorf("wanted ±%g of 100 ± 2.48: open %v, want %v", wanted, got, open)
		}
	}
}

// TestStudyIsWrittenLast: a folder whose other files could not be written cannot be resumed.
func TestStudyIsWrittenLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{}, newStudy(t, 1, onceInOrder))
		c.options.Snapshot.GPUs = []host.GPU{{PowerLimitW: new(math.NaN())}} // which JSON does not have
		if _, err := Run(t.Context(), c.options); err == nil {
			t.Fatal("the study ran")
		}
		dirs, _ := filepath.Glob(filepath.Join(c.options.Results, "*"))
		if len(dirs) != 1 {
			t.Fatalf("folders %q", dirs)
		}
		if _, err := os.Stat(filepath.Join(dirs[0], store.StudyFile)); err == nil {
			t.Error("it has a study.yaml")
		}
	})
}

// TestModelFilesAreFrozen: a model whose files were written again is another one, also of the same size.
func TestModelFilesAreFrozen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "model.safetensors")
	sum := func(text string, at time.Time) string {
		if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
		in, err := read("model", dir)
		if err != nil {
			t.Fatal(err)
		}
		return in.SHA256
	}
	first := time.Unix(1_700_000_000, 0)
	one := sum("one", first)
	for name, q := range map[string]struct {
		text string
		at   time.Time
		same bool
	}{
		"untouched":     {"one", first, true},
		"of other size": {"three", first, false},
		"written again": {"two", first.Add(time.Nanosecond), false},
	} {
		if got := sum(q.text, q.at) == one; got != q.same {
			t.Errorf("%s: the same %v, want %v", name, got, q.same)
		}
	}
}

// TestEnded: why the study ended.
func TestEnded(t *testing.T) {
	oops := errors.New("oops")
	for name, q := range map[string]struct {
		s           result.StudyResult
		err         error
		interrupted bool
		want        result.Ended
	}{
		"complete":                   {result.StudyResult{Complete: true}, nil, false, result.EndComplete},
		"complete, then interrupted": {result.StudyResult{Complete: true}, nil, true, result.EndComplete},
		"interrupted":                {result.StudyResult{}, context.Canceled, true, result.EndInterrupted},
		"out of time": {result.StudyResult{}, fmt.Errorf("x: %w", &TimeoutError{}), true,
			result.EndTimeout},
		"first failure":               {result.StudyResult{}, errFailFast, false, result.EndFailFast},
		"runs left out":               {result.StudyResult{LeftOut: 1}, nil, false, result.EndFailures},
		"an error":                    {result.StudyResult{Complete: true}, oops, false, result.EndError},
		"runs left, and nothing said": {result.StudyResult{}, nil, false, result.EndError},
	} {
		if got := ended(&q.s, q.err, q.interrupted); got != q.want {
			t.Errorf("%s: %s, want %s", name, got, q.want)
		}
	}
}

// TestLimitsAreGiven: a study that is resumed has the limits that are given now; what it measures comes from the
// frozen one.
func TestLimitsAreGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCampaign(t, &stub{}, newStudy(t, 1, onceInOrder))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		res, _ := Run(ctx, c.options)
		given := newStudy(t, 1, onceInOrder)
		x := &given.Execution
		x.RunTimeout, x.StudyTimeout, x.MaxFailures = study.Duration(time.Minute), study.Duration(time.Hour), 7
		got, err := Frozen(res.Dir, given)
		if err != nil {
			t.Fatal(err)
		}
		if y := got.Execution; y.RunTimeout != x.RunTimeout || y.StudyTimeout != x.StudyTimeout || y.MaxFailures != 7 {
			t.Errorf("%+v, want the limits of %+v", y, x)
		}
		given.Experiments[0].Seed++
		if _, err := Frozen(res.Dir, given); err == nil {
			t.Error("another experiment was taken for the one that was started")
		}
	})
}
