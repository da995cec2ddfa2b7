package join

import (
	"testing"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/unit"
)

// pauses ends every batch some milliseconds early. The sensor shows too little or too much power around the
// pauses, which the fit assigns to the pauses.
func pauses(m *Material, length int64, watts float64) {
	for i := range m.Steps {
		s := &m.Steps[i]
		last := i+1 == len(m.Steps) || m.Steps[i+1].PrefillTokens > 0
		if !last {
			continue
		}
		for k := range m.Samples {
			if p := &m.Samples[k]; p.MonoNS > s.EndNS-20*ms && p.MonoNS <= s.EndNS {
				p.Power = unit.Watts(watts)
			}
		}
		s.EndNS -= length * ms
	}
}

// TestIdentity: all parts add up to the total, and the requests to the phases, also if a phase is refused.
// Each value lies between its bounds.
func TestIdentity(t *testing.T) {
	for name, q := range map[string]struct {
		batches, prefill int64
		pause            int64   // in milliseconds
		pauseW           float64 // shown by the sensor around it
		refused          string  // the phase without energy
		nothing          bool    // idle time has no energy
	}{
		"both phases":                 {batches: 6, prefill: 200},
		"one short prefill":           {batches: 1, prefill: 7, refused: "prefill"},
		"few prefills":                {batches: 4, prefill: 3, refused: "prefill"},
		"pauses":                      {batches: 12, prefill: 200, pause: 8, pauseW: 250},
		"pauses of less than nothing": {batches: 12, prefill: 200, pause: 8, pauseW: 50, nothing: true},
		"pauses far below zero":       {batches: 12, prefill: 200, pause: 4, pauseW: 1, refused: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			m := handmade(q.batches, q.prefill)
			if q.pause > 0 {
				pauses(m, q.pause, q.pauseW)
			}
			rec, requests := joined(t, m)
			e := rec.Energy
			if e.Phases == nil {
				t.Fatalf("no phases: %s", e.PhasesReason)
			}
			sum := e.UnattributedJ.Value
			for phase, p := range map[string]*result.Phase{"prefill": e.Phases.Prefill, "decode": e.Phases.Decode,
				"other": e.Phases.Other} {
				if (p.EnergyJ == nil) != (phase == q.refused) {
					t.Errorf("%s: %+v", phase, p)
				}
				if p.EnergyJ != nil {
					sum += *p.EnergyJ
					checkStated(t, phase, p)
					if v := *p.EnergyJ; !(0 <= *p.LowJ && *p.LowJ <= v && v <= *p.HighJ && 0 <= p.CI95[0] &&
						p.CI95[0] <= v && v <= p.CI95[1]) {
						t.Errorf("%s: %v J in %v, bounds [%v, %v]", phase, v, *p.CI95, *p.LowJ, *p.HighJ)
					}
				} else if p.Reason == "" || p.CI95 != nil || p.LowJ != nil || p.JPerToken != nil || p.MeanW != nil ||
					p.Gain95 != nil {
					t.Errorf("refused %s: %+v, want a reason and no numbers", phase, p)
				}
			}
			if o := e.Phases.Other; o.EnergyJ != nil &&
				q.nothing != (o.DurationS > 0 && *o.EnergyJ == 0 && o.CI95[1] > 0) {
				t.Errorf("other: %v J in %v", *o.EnergyJ, *o.CI95)
			}
			near(t, "sum of all parts", sum, e.TotalJ.Value, 1e-9)
			checkShares(t, "prefill", e.Phases.Prefill, requests,
				func(r series.Request) *float64 { return r.PrefillJ })
			checkShares(t, "decode", e.Phases.Decode, requests, func(r series.Request) *float64 { return r.DecodeJ })
		})
	}
}

// checkStated checks that a phase names its method, and that its energy per token has the same uncertainty.
func checkStated(t *testing.T, name string, p *result.Phase) {
	t.Helper()
	if p.Method != attribute.Method || p.Source != sensor.SourceFake {
		t.Errorf("%s: method %q, source %q", name, p.Method, p.Source)
	}
	if (p.JPerToken != nil) != (p.Tokens > 0) || (p.JPerTokenCI95 != nil) != (p.Tokens > 0) ||
		(p.JPerTokenGain95 != nil) != (p.Tokens > 0) {
		t.Fatalf("%s of %d tokens: %+v", name, p.Tokens, p)
	}
	if n := float64(p.Tokens); n > 0 {
		near(t, name+": j_per_token", *p.JPerToken*n, *p.EnergyJ, 1e-9)
		near(t, name+": lower limit", p.JPerTokenCI95[0]*n, p.CI95[0], 1e-9)
		near(t, name+": upper limit", p.JPerTokenCI95[1]*n, p.CI95[1], 1e-9)
		near(t, name+": gain", *p.JPerTokenGain95*n, *p.Gain95, 1e-9)
	}
}

func checkShares(t *testing.T, name string, p *result.Phase, requests []series.Request,
	of func(series.Request) *float64) {
	t.Helper()
	sum := 0.0
	for i, r := range requests {
		v := of(r)
		if (v == nil) != (p.EnergyJ == nil) {
			t.Fatalf("%s of request %d: %v, although the phase has %v", name, i, v, p.EnergyJ)
		}
		if v != nil {
			sum += *v
		}
	}
	if p.EnergyJ != nil {
		near(t, name+" of all requests", sum, *p.EnergyJ, 1e-9)
	}
}
