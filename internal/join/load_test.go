package join

import (
	"math"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
	"github.com/llenergymeasure/llem/study"
)

// offered returns a load of constant arrivals from 10 s on, every given number of milliseconds for a time: each request
// has its first token after 100 ms and nineteen more every 20 ms, and adds 100 W to the 20 W of the idle machine.
func offered(every, lasts int64) (*Material, *result.Record) {
	const start, takes = 10_000, 480
	m := &Material{Devices: []Device{{Device: gpu0}},
		Engine: Engine{Tier: backend.TierClient, Device: "cuda", GPUs: []string{gpu0.UUID}}}
	flying := func(t int64) (n float64) {
		for at := int64(start); at < start+lasts; at += every {
			if t >= at && t < at+takes {
				n++
			}
		}
		return n
	}
	for at := int64(start); at < start+lasts; at += every {
		q := backend.Request{ID: len(m.Requests), ArrivedNS: at * ms, SubmittedNS: at*ms + ms/10, StartedNS: at * ms,
			FirstTokenNS: (at + 100) * ms, PromptTokens: promptLen, PromptComputed: promptLen,
			OutputTokens: 20, OK: true}
		for i := range int64(20) {
			q.TokenNS = append(q.TokenNS, (at+100+20*i)*ms)
		}
		q.EndNS = q.TokenNS[19]
		m.Requests = append(m.Requests, q)
		m.Given, m.Asked = m.Given+promptLen, m.Asked+20
	}
	end := start + lasts + takes
	m.Load = &LoadRun{StartNS: start * ms, EndNS: end * ms}
	m.Window = attribute.Window{Start: start * ms, End: end * ms}
	m.Samples = sampled("gpu0", start-1000, end+1000, func(t int64) float64 { return idleW + 100*flying(t) })
	rec := &result.Record{Config: study.DefaultExperiment(engines.All()[0]), Window: &result.Window{Repeats: 1},
		Status: result.OK, SchemaVersion: result.SchemaVersion, Energy: result.Energy{Provenance: result.None}}
	rec.Config.Workload.Load.Kind = "constant"
	rec.Config.Workload.Load.Rate = 1000 / float64(every)
	rec.Config.Workload.SLO = study.SLO{TTFTMS: 150, TPOTMS: 50}
	return m, rec
}

// TestLoad: the record of a load is of its steady part, with everything before and after it beside.
func TestLoad(t *testing.T) {
	m, rec := offered(100, 20_000)
	Compute(m, rec, nil)
	l := rec.Load
	if l == nil {
		t.Fatal("no load")
	}
	near := func(what string, got, want, by float64) {
		t.Helper()
		if math.Abs(got-want) > by {
			t.Errorf("%s: %v, want %v ± %v", what, got, want, by)
		}
	}
	w := rec.Window.DurationS
	near("ramp, window and drain", l.RampS+w+l.DrainS, 20.48, 1e-6)
	near("offered", l.OfferedRPS, 10, 0.1)
	near("completed", l.CompletedRPS, 10, 0.1)
	near("in flight", l.InFlight, 4.8, 0.05)
	near("Little's law", *l.LittlePct, 0, 2)
	near("mean power", rec.Energy.MeanW.Value, 500, 10)
	near("J per token", rec.Energy.PerOutputTokenJ.Value, 500./200, 0.05)
	near("J per good token", l.PerGoodTokenJ.Value, 500./200, 0.05)
	near("all of the energy", l.RampJ.Value+rec.Energy.TotalJ.Value+l.DrainJ.Value, 20*20.48+200*0.48*100, 60)
	near("idle", l.IdleS, 0, 0)
	near("lag", l.SendLagMS.P50, 0.1, 1e-9)
	near("attainment", l.Attainment.Value, 1, 0)
	if l.Saturated || l.SLOMet != "yes" || l.Scheduled != l.Good || l.WastedTokens != 0 || !l.Halves.Stationary {
		t.Errorf("%+v", l)
	}
	if n := rec.Latency.ResponseTTFT.N; int64(n) != l.Scheduled {
		t.Errorf("%d latencies of %d requests", n, l.Scheduled)
	}
	for _, n := range rec.Warnings {
		if n.Code != "no_baseline" {
			t.Errorf("%s: %s", n.Code, n.Message)
		}
	}
}

// TestLoadAgain: the record of a load, with the probes of a search, follows from its files.
func TestLoadAgain(t *testing.T) {
	m, rec := offered(100, 20_000)
	probe, _ := offered(250, 6_000)
	m.Load.Search = &SearchRun{Over: "rate", Load: 10, Lower: new(10.), Resolved: true,
		Probes: []ProbeRun{{Role: "probe", Load: 4, StartNS: probe.Load.StartNS, EndNS: probe.Load.EndNS,
			Requests: probe.Requests}}}
	s := Compute(m, rec, nil)
	if p := rec.Load.Search.Probes[0]; p.Verdict != "unresolved" || p.Scheduled == 0 || p.TotalJ == nil ||
		p.WindowMonoNS[0] <= p.StartMonoNS {
		t.Errorf("probe %+v", p)
	}
	if own := series.Own(s.Requests); len(own) != 200 || len(s.Requests) != 224 {
		t.Errorf("%d of %d rows are the run's own, want 200 of 224", len(own), len(s.Requests))
	}
	again := Recompute(onDisk(t, rec, s))
	if again.Error != "" || len(again.Differ) > 0 || again.Numbers < 100 {
		t.Errorf("%+v", again)
	}
}
