package result

import (
	"slices"
	"testing"
)

// TestMissing: each number that is null has the reason that the record gives, and the one that is for it alone first.
func TestMissing(t *testing.T) {
	refused := func(why string) *Phase { return &Phase{Reason: why} }
	r := &Record{Status: OK, Latency: &Latency{TTFT: &Distribution{}, Reason: "not known when requests started"},
		Energy: Energy{TotalJ: &Quantity{}, PerOutputTokenJ: &Quantity{}, Phases: &Phases{
			Prefill: refused("prefill is seen by 4 samples: set energy.min_window: 2"),
			Decode:  refused("decode is seen by 3 samples: set energy.min_window: 5"),
			Other:   refused("less than nothing")}}}
	r.Memory.Reason = "nobody looked"
	all := MissingOf(r.Missing())
	for metric, want := range map[string]string{
		"energy.phases.prefill.j_per_token": "decode is seen by 3 samples: set energy.min_window: 5",
		"energy.phases.other.energy_j":      "less than nothing",
		"latency.itl_ms.p50":                "a request of one token has no time between tokens",
		"latency.queue_ms.p50":              "not known when requests started",
		"memory.peak_bytes":                 "nobody looked",
		"compute.flops":                     "",
	} {
		if got := whyMissing(all, metric); got != want {
			t.Errorf("%s: %q, want %q", metric, got, want)
		}
	}
	r.Energy.Phases.Decode.Reason = "something else"
	if got := whyMissing(MissingOf(r.Missing()), "energy.phases.decode.energy_j"); got != "something else" {
		t.Errorf("decode for another reason: %q", got)
	}
	if r.Status = Failed; r.Missing() != nil {
		t.Error("a run that failed lacks numbers for another reason than that")
	}
}

// TestMissingOf: reasons that differ in their numbers alone are one, with the larger of what would do.
func TestMissingOf(t *testing.T) {
	run := func(why string) []Missing { return []Missing{{Of: "energy.phases", Reason: why}} }
	got := MissingOf(run("seen by 4: set energy.min_window: 2"), run("seen by 2: set energy.min_window: 12"),
		run("no steps"), run("seen by 3: set energy.min_window: 3"))
	want := []Missing{{"energy.phases", "seen by 2: set energy.min_window: 12", 3}, {"energy.phases", "no steps", 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
