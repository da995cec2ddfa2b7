package study

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/load"
)

// TestLoadKeys: the keys of a load and of an objective, also as a sweep.
func TestLoadKeys(t *testing.T) {
	s, err := Parse("s.yaml", []byte(`model: m/n
backend: vllm
workload:
  load: {kind: gamma, cv: 2, duration_s: 1m30s, seed: 7}
  slo: {ttft_p95_ms: 500, tpot_p95_ms: 50, attainment: 0.9}
sweep:
  workload.load.rate: 1..64*2
`))
	if err != nil {
		t.Fatal(err)
	}
	var rates []float64
	for _, e := range s.Experiments {
		rates = append(rates, e.Workload.Load.Rate)
	}
	if diff := cmp.Diff([]float64{1, 2, 4, 8, 16, 32, 64}, rates); diff != "" {
		t.Errorf("rates (-want +got):\n%s", diff)
	}
	w := s.Experiments[2].Workload
	if want := (Arrivals{Kind: load.Gamma, Rate: 4, CV: 2, DurationS: 90, Seed: 7}); w.Load != want {
		t.Errorf("load %+v, want %+v", w.Load, want)
	}
	if want := (SLO{TTFTMS: 500, TPOTMS: 50, Attainment: 0.9}); w.SLO != want {
		t.Errorf("objective %+v, want %+v", w.SLO, want)
	}
	p, err := s.Experiments[2].Process()
	if want := (load.Process{Kind: load.Gamma, Rate: 4, CV: 2, DurationS: 90, Seed: 7}); err != nil ||
		!cmp.Equal(p, want) {
		t.Errorf("process %+v, %v", p, err)
	}
}

// TestSLOClass: a class gives limits, and a value beside it takes precedence.
func TestSLOClass(t *testing.T) {
	for _, q := range []struct {
		text string
		want SLO
	}{
		{"{class: llama-3.1-8b-interactive}", SLO{TTFTMS: 500, TPOTMS: 30, Attainment: 0.99}},
		{"{class: llama-3.1-8b-interactive, ttft_p95_ms: 250, attainment: 0.95}",
			SLO{TTFTMS: 250, TPOTMS: 30, Attainment: 0.95}},
		{"{e2e_p95_ms: 9000}", SLO{E2EMS: 9000}},
	} {
		e, _ := one(t, fmt.Sprintf("{model: m/n, backend: vllm, workload.slo: %s}", q.text))
		if e.Workload.SLO != q.want {
			t.Errorf("%s: %+v, want %+v", q.text, e.Workload.SLO, q.want)
		}
	}
}

// TestSearches: a search has the bounds of its keys.
func TestSearches(t *testing.T) {
	e, _ := one(t, "{model: m/n, backend: vllm, workload.load: {kind: poisson, search: rate, search_from: 1, "+
		"search_to: 64, probe_s: 60}, workload.slo: {ttft_p95_ms: 500}}")
	s := e.Workload.Load.Searches(e.Workload.SLO)
	if s == nil || s.From != 1 || s.To != 64 || s.Whole || !s.Sustained {
		t.Errorf("search %+v", s)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if e, _ := one(t, "{model: m/n, backend: vllm}"); e.Workload.Load.Searches(e.Workload.SLO) != nil {
		t.Error("a search without a key")
	}
}

// loads are coherent loads.
var loads = []map[string]string{
	{"workload.load.kind": "constant", "workload.load.rate": "4", "workload.load.seed": "3"},
	{"workload.load.kind": "poisson", "workload.load.rate": "0.5", "workload.load.duration_s": "60"},
	{"workload.load.kind": "gamma", "workload.load.rate": "4", "workload.load.cv": "2", "workload.load.seed": "3"},
	{"workload.load.kind": "ramp", "workload.load.rate": "1", "workload.load.to_rate": "8",
		"workload.load.duration_s": "30"},
	{"workload.load.kind": "rates", "workload.load.rates": "30s:2 1m:8", "workload.slo.ttft_p95_ms": "500"},
	{"workload.load.kind": "trace", "workload.load.trace": "/t.csv", "workload.load.speed": "2"},
	{"workload.load.kind": "trace", "workload.load.trace": "/t.csv", "workload.load.spread": "true"},
	{"workload.slo.class": "llama-2-70b-server"},
	{"workload.load.search": "concurrency", "workload.load.search_from": "1", "workload.load.search_to": "64",
		"workload.slo.tpot_p95_ms": "50"},
}

func isLoad(key string) bool {
	return strings.HasPrefix(key, terms.LoadKey) || strings.HasPrefix(key, terms.SLOKey)
}

// anyLoadValue returns some value of a key of a load.
func anyLoadValue(f *keys.Field, rng *rand.Rand) string {
	switch strings.TrimPrefix(f.Key, terms.LoadKey) {
	case "rates":
		return []string{"30s:2", "1m:3 30s:0"}[rng.IntN(2)]
	case "span":
		return []string{"1m..2m", "5m.."}[rng.IntN(2)]
	case "trace":
		return []string{"/a.csv", "b.jsonl"}[rng.IntN(2)]
	case "shared_prefix", "turns":
		return []string{"2", "7"}[rng.IntN(2)]
	}
	if f.Kind.Basic == grammar.IsNumber && !f.Kind.Whole {
		return []string{"0.25", "0.5", "0.75", "0.9"}[rng.IntN(4)]
	}
	return []string{"100", "200", "300"}[rng.IntN(3)]
}

// loadOf returns the other keys that a key of a load needs.
func loadOf(key string) map[string]string {
	poisson := map[string]string{terms.LoadKey + "kind": "poisson", terms.LoadKey + "rate": "4"}
	switch name := strings.TrimPrefix(key, terms.LoadKey); name {
	case "to_rate":
		return map[string]string{terms.LoadKey + "kind": "ramp", terms.LoadKey + "rate": "4", key: "9"}
	case "cv":
		return map[string]string{terms.LoadKey + "kind": "gamma", terms.LoadKey + "rate": "4", key: "9"}
	case "rates":
		return map[string]string{terms.LoadKey + "kind": "rates", key: "9s:1"}
	case "trace", "span", "speed", "max_input", "max_output", "spread", "longer", "follow":
		return map[string]string{terms.LoadKey + "kind": "trace", terms.LoadKey + "trace": "/t.csv",
			terms.LoadKey + "max_input": "50"}
	case "think_s":
		poisson[terms.LoadKey+"turns"] = "3"
	case "search_from", "search_to", "tolerance", "probe_s":
		return map[string]string{terms.LoadKey + "kind": "poisson", terms.LoadKey + "search": "rate",
			terms.LoadKey + "search_from": "0.2", terms.LoadKey + "search_to": "100", terms.LoadKey + "probe_s": "60",
			terms.SLOKey + "ttft_p95_ms": "500"}
	case "search":
		return map[string]string{terms.LoadKey + "search_from": "1", terms.LoadKey + "search_to": "100",
			terms.SLOKey + "ttft_p95_ms": "500", key: "concurrency"}
	case terms.SLOKey + "attainment":
		poisson[terms.SLOKey+"ttft_p95_ms"] = "500"
	}
	return poisson
}
