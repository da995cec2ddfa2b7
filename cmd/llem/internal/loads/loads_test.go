package loads_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// open makes and reads the study of loadstest.
func open(t *testing.T, cycles int) *result.StudyResult {
	t.Helper()
	dir, err := loadstest.Folder(t.TempDir(), cycles)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return found.StudyResult
}

func of(t *testing.T, s *result.StudyResult) loads.Study {
	t.Helper()
	l, err := loads.Of(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestGroups: the configurations apart from the load are groups with points by load. The line of each holds the
// power that the study was made with, rates above capacity are saturated, and the cheapest point met the objective.
func TestGroups(t *testing.T) {
	l := of(t, open(t, 2))
	if len(l.Groups) != 2 || l.SLO.TTFTMS != 500 {
		t.Fatalf("%d groups with the objective %+v", len(l.Groups), l.SLO)
	}
	for i, want := range []struct {
		name             string
		slope, most      float64
		saturated, steps int
	}{{"float32", 31, 8, 2, 7}, {"bfloat16", 18, 12, 1, 7}} {
		g := l.Groups[i]
		saturated := 0
		for k, p := range g.Points {
			if p.Saturated > 0 {
				saturated++
			}
			if k > 0 && p.Load <= g.Points[k-1].Load {
				t.Errorf("%s: %g follows %g", g.Name, p.Load, g.Points[k-1].Load)
			}
		}
		if g.Name != want.name || len(g.Points) != want.steps || saturated != want.saturated ||
			g.Over != load.OverRate {
			t.Errorf("%q over %s has %d points, %d saturated: want %+v", g.Name, g.Over, len(g.Points), saturated, want)
		}
		if g.Line == nil {
			t.Fatal(g.LineReason)
		}
		if line := g.Line; line.SlopeJ.Low > want.slope || line.SlopeJ.High < want.slope ||
			line.InterceptW.Low > loadstest.IdleW || line.InterceptW.High < loadstest.IdleW {
			t.Errorf("%s: %s; the study was made with %g W and %g J", g.Name, g.LineText(), loadstest.IdleW, want.slope)
		}
		peak := loadstest.IdleW + want.slope*g.Capacity
		if got := g.Proportionality; math.Abs(got-(1-loadstest.IdleW/peak)) > 0.02 {
			t.Errorf("%s: the proportionality is %g", g.Name, got)
		}
		at := g.Cheapest()
		if at < 0 || g.Points[at].Load > want.most || g.Points[at].SLOMet != load.Yes {
			t.Errorf("%s: the cheapest is point %d: %s", g.Name, at, l.Answers())
		}
	}
}

// TestJudge: by the study's own objective, judging changes no number; by a lax one every request is good, and the
// two loads whose requests are too few to show 95 % stay open, while the three whose backlog grows meet none; by one
// that nothing meets no request is good, and the energy per good token is then missing with a reason.
func TestJudge(t *testing.T) {
	s := open(t, 1)
	before := of(t, s)
	own := before.SLO
	for name, q := range map[string]struct {
		slo study.SLO
		met int
	}{"own": {own, -1}, "lax": {study.SLO{TTFTMS: 1e9}, 9}, "strict": {study.SLO{TTFTMS: 0.001}, 0}} {
		s := open(t, 1)
		if err := loads.Judge(s, q.slo); err != nil {
			t.Fatal(err)
		}
		after, met := of(t, s), 0
		for i, g := range after.Groups {
			for k, p := range g.Points {
				if p.SLOMet == load.Yes {
					met++
				}
				a, okA := p.Figure(loads.GoodTokenMetric)
				b, okB := before.Groups[i].Points[k].Figure(loads.GoodTokenMetric)
				if name == "own" && (okA != okB || a.Value != b.Value) {
					t.Errorf("%s at %g: %v is not %v", g.Name, p.Load, a, b)
				}
				if name == "strict" && (okA || p.Runs[0].Load.EnergyReason == "" || p.Runs[0].Load.GoodTokens != 0) {
					t.Errorf("%s at %g: %+v", g.Name, p.Load, p.Runs[0].Load)
				}
			}
		}
		if q.met >= 0 && met != q.met {
			t.Errorf("%s: %d points met the objective, want %d", name, met, q.met)
		}
	}
}

// TestParseSLO: an objective is read as it is written, and a mistake is named.
func TestParseSLO(t *testing.T) {
	for _, text := range []string{"ttft=500ms, TPOT=50ms,e2e=10s,attainment=99%",
		"ttft_p95_ms=500,tpot_p95_ms=50,e2e_p95_ms=1e4,attainment=0.99"} {
		got, err := loads.ParseSLO(text)
		if want := (study.SLO{TTFTMS: 500, TPOTMS: 50, E2EMS: 10000, Attainment: 0.99}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "ttft", "ttft=", "ttft=500", "ttft=-1s", "ttft=0s", "itl=3ms", "attainment=0",
		"attainment=1.5", "attainment=x", "ttft=1s,ttft=2s", "attainment=NaN", "ttft=1s,",
		"ttft_p95_ms=NaN", "ttft_p95_ms=-5", "ttft_p95_ms=0", "ttft_p95_ms=5s", "itl_p95_ms=3", "_p95_ms=3",
		"ttft_p95_ms=1,ttft=1s", "ttft_p95_ms=Inf", "ttft_p95_ms=1e300"} {
		if slo, err := loads.ParseSLO(text); err == nil {
			t.Errorf("%q is the objective %+v", text, slo)
		}
	}
}

// TestSeveralCycles: the requests of several cycles are judged together, so that cycles resolve what one of them leaves
// open. A share at the limit is called met, or not met, by few, also if the cycles scatter by more than their requests.
func TestSeveralCycles(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	const cycles, n, tries = 4, 100, 400
	told := func(p, scatter float64) (yes, no, alone int) {
		for range tries {
			s := &result.StudyResult{}
			e := study.Experiment{Workload: study.Workload{Load: study.Arrivals{Kind: "poisson", Rate: 2},
				SLO: study.SLO{TTFTMS: 500}}}
			all := true
			for cycle := range cycles {
				good, of := 0.0, min(1, p+scatter*random.NormFloat64())
				for range n {
					if random.Float64() < of {
						good++
					}
				}
				low, high := load.Wilson(good, n, load.Z95)
				r := &result.Record{ID: e.ID(), Cycle: cycle + 1, Status: result.OK, Config: e, Load: &result.Load{
					Kind: "poisson", OfferedRPS: 2, Scheduled: n, SLOMet: load.Judged(low, high, 0.95),
					Attainment: &result.Estimate{Value: good / n, CI95: [2]float64{low, high}}}}
				all = all && r.Load.SLOMet == load.Yes
				s.Runs = append(s.Runs, r)
			}
			spreads, err := result.SpreadsOf([]result.Values{result.ValuesOf(s.Runs[0])})
			if err != nil {
				t.Fatal(err)
			}
			s.Experiments = []result.ExperimentSummary{{ID: e.ID(), Config: e, Status: result.OK, Metrics: spreads}}
			if all {
				alone++
			}
			switch of(t, s).Groups[0].Points[0].SLOMet {
			case load.Yes:
				yes++
			case load.No:
				no++
			}
		}
		return yes, no, alone
	}
	for _, q := range []struct{ p, scatter float64 }{{0.95, 0}, {0.95, 0.03}} {
		if yes, no, _ := told(q.p, q.scatter); float64(max(yes, no)) > 0.07*tries {
			t.Errorf("at the limit, scatter %g: %d yes and %d no of %d", q.scatter, yes, no, tries)
		}
	}
	if yes, no, alone := told(0.98, 0); no > 0 || yes < 2*alone || yes < tries/2 {
		t.Errorf("above the limit: %d yes and %d no of %d; in every cycle alone: %d", yes, no, tries, alone)
	}
}

// TestNext: a study without a load that met the objective tells which loads to measure.
func TestNext(t *testing.T) {
	for want, slo := range map[string]study.SLO{
		"met the objective at no load; the best: 0 % at 1 req/s; next: measure loads below 1 req/s, such as 0.25": {
			TTFTMS: 1},
		" unresolved); the best: 100 % at ": {TTFTMS: 1e9, Attainment: 0.9999},
	} {
		s := open(t, 1)
		if err := loads.Judge(s, slo); err != nil {
			t.Fatal(err)
		}
		answers := strings.Join(of(t, s).Answers(), "\n")
		if !strings.Contains(answers, want) || !strings.Contains(answers, "; next: measure ") {
			t.Errorf("%s", answers)
		}
	}
}

// TestCyclesOfAStudy: 60 good requests alone do not show that 95 of 100 are good; the requests of three cycles do.
// Requests that were sent too late to judge a limit stay unresolved however many they are, with that reason.
func TestCyclesOfAStudy(t *testing.T) {
	for cycles, want := range map[int]string{1: load.Unresolved, 3: load.Yes} {
		if got := of(t, open(t, cycles)).Groups[0].Points[0].SLOMet; got != want {
			t.Errorf("%d cycles: %s, want %s", cycles, got, want)
		}
	}
	s := open(t, 3)
	if err := loads.Judge(s, study.SLO{TTFTMS: 0.001}); err != nil {
		t.Fatal(err)
	}
	g := of(t, s).Groups[0]
	if got := g.Points[0].SLOMet; got != load.Unresolved || g.Next() != "" || !strings.Contains(g.None(), "sent "+
		"too late") {
		t.Errorf("%s: %s; next %q", got, g.None(), g.Next())
	}
}

// TestNoRequests: without the stored requests of a run another objective is refused with the next step; the study's own
// one is answered.
func TestNoRequests(t *testing.T) {
	s := open(t, 1)
	files, err := filepath.Glob(filepath.Join(s.Dir, "runs", "*", "requests.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := loads.Judge(s, study.SLO{TTFTMS: 500, TPOTMS: 50}); err != nil {
		t.Errorf("the study's own objective: %v", err)
	}
	err = loads.Judge(s, study.SLO{TTFTMS: 400})
	if none, ok := errors.AsType[*loads.NoRequestsError](err); !ok || none.NextStep() == "" {
		t.Errorf("another objective: %v", err)
	}
}
