package loads_test

import (
	"math"
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
	got, err := loads.ParseSLO("ttft=500ms, TPOT=50ms,e2e=10s,attainment=99%")
	if want := (study.SLO{TTFTMS: 500, TPOTMS: 50, E2EMS: 10000, Attainment: 0.99}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "ttft", "ttft=", "ttft=500", "ttft=-1s", "ttft=0s", "itl=3ms", "attainment=0",
		"attainment=1.5", "attainment=x", "ttft=1s,ttft=2s", "attainment=NaN", "ttft=1s,"} {
		if slo, err := loads.ParseSLO(text); err == nil {
			t.Errorf("%q is the objective %+v", text, slo)
		}
	}
}
