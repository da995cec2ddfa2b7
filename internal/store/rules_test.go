package store

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestWantedPrecision: it is reached where half the interval is as wide, and not where it is a little wider.
func TestWantedPrecision(t *testing.T) {
	const metric = "energy.per_output_token_j"
	for wanted, met := range map[float64]bool{0.02: false, 0.0248: false, 0.0249: true, 0.05: true} { // ± 2.484 of 100
		s := runsOf(t, [][]float64{{99, 100, 101}}, [][]float64{{1, 1, 1}})
		s.Experiments = nil
		if err := summarizeRuns(s, study.Until{Metric: metric, RelativeHalfWidth: wanted, MaxCycles: 3}); err != nil {
			t.Fatal(err)
		}
		e := s.Experiments[0]
		_, warned := e.Caveats.Find(codes.PrecisionNotReached)
		if p := e.Precision; p == nil || p.Met != met || warned == met || *p.Reached < 0.0248 || *p.Reached > 0.0249 {
			t.Errorf("wanted %g: %+v, caveats %v", wanted, p, e.Caveats)
		}
	}
}

// TestLineOfAnotherRun: a line of an earlier version, without a sum, must at least name its own run.
func TestLineOfAnotherRun(t *testing.T) {
	for line, ok := range map[string]bool{
		`{"id":"a","cycle":1,"status":"ok","run":"runs/a-c1"}`: true,
		`{"id":"a","cycle":1,"status":"ok","run":"runs/a-c2"}`: false,
		`{"id":"a","cycle":0,"status":"ok","run":"runs/a-c0"}`: false,
		`{"id":"b","cycle":1,"status":"ok","run":"../a-c1"}`:   false,
		`{}`: false,
	} {
		if _, err := parseJournal("j", strings.NewReader(line+"\n")); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestManifestNeedsTheRecord: a manifest that does not name the record covers nothing, and one that names a file of
// another folder is not one.
func TestManifestNeedsTheRecord(t *testing.T) {
	sum := strings.Repeat("0", 64)
	for text, ok := range map[string]bool{
		sum + "  " + result.RecordFile + "\n":                          true,
		sum + "  power.parquet\n":                                      false,
		sum + "  " + result.RecordFile + "\n" + sum + "  ../other/a\n": false,
		sum + "  " + result.RecordFile + "\n" + sum + "  a/../../b\n":  false,
		sum[1:] + "  " + result.RecordFile + "\n":                      false,
		sum + " " + result.RecordFile + "\n":                           false,
		"":                                                             false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ManifestFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readManifest(dir); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSameNumbers: a line has the numbers of its run; one of an earlier version may lack some.
func TestSameNumbers(t *testing.T) {
	values := func(total, net float64) result.Values {
		quantity := func(v float64) *result.Quantity {
			if math.IsNaN(v) {
				return nil
			}
			return &result.Quantity{Value: v}
		}
		return result.ValuesOf(&result.Record{Status: result.OK,
			Energy: result.Energy{TotalJ: quantity(total), NetJ: quantity(net)}})
	}
	none := math.NaN()
	for name, q := range map[string]struct {
		line, own result.Values
		want      bool
	}{
		"the same": {values(1, none), values(1, none), true},
		"another":  {values(1, none), values(2, none), false},
		"one more": {values(1, 2), values(1, none), false},
		"one less": {values(1, none), values(1, 2), true},
		"none":     {result.Values{}, values(1, 2), true},
	} {
		e := Entry{Row: result.Row{ID: "a", Cycle: 1, Status: result.OK, Values: q.line}}
		if got := e.sameNumbers(result.Row{ID: "a", Cycle: 1, Status: result.OK, Values: q.own}); got != q.want {
			t.Errorf("%s: same %v, want %v", name, got, q.want)
		}
	}
}

// TestLastManifest: of a run that was made again the line of the last try has the sum that
// counts, and a torn end of the journal is cut off when the study is opened again.
func TestLastManifest(t *testing.T) {
	dir, _ := smallStudy(t, 1, 1)
	path := filepath.Join(dir, JournalFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, `{"id":"torn`...), 0o600); err != nil {
		t.Fatal(err)
	}
	d, _, err := Reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if text, err := os.ReadFile(path); err != nil || string(text) != string(whole) {
		t.Errorf("the journal is %q, %v, want %q", text, err, whole)
	}
	var text []byte
	for _, sum := range []string{"one", "two"} {
		line, err := Entry{Row: result.Row{ID: "a", Cycle: 1, Status: result.OK}, Run: "runs/a-c1",
			Manifest: sum}.Line()
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, line...)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, JournalFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Manifests(other); err != nil || got["a-c1"] != "two" {
		t.Errorf("%v, %v, want the last try's", got, err)
	}
}
