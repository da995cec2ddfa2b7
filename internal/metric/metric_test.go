package metric

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestCalls: no two metrics share what a user may call them.
func TestCalls(t *testing.T) {
	of := map[string]string{}
	add := func(call, name string) {
		if other := of[fold(call)]; other != "" && other != name {
			t.Errorf("%q is %s and %s", call, other, name)
		}
		of[fold(call)] = name
	}
	for _, m := range All() {
		for _, call := range m.calls() {
			add(call, m.Name)
		}
	}
	for _, o := range others {
		if Index(o.name) < 0 {
			t.Errorf("%q is another name of %s, which is not a metric", o.other, o.name)
		}
		add(o.other, o.name)
	}
	for name := range titles {
		if Index(name) < 0 {
			t.Errorf("%s has a title and is not a metric", name)
		}
	}
}

func TestFind(t *testing.T) {
	for asked, want := range map[string]string{
		"energy.per_output_token_j": "energy.per_output_token_j",
		"J/out":                     "energy.per_output_token_j",
		"j/OUT":                     "energy.per_output_token_j",
		"energy per output token":   "energy.per_output_token_j",
		"per_output_token_j":        "energy.per_output_token_j",
		"TOK/S":                     "throughput.output_tokens_per_s",
		"TTFT":                      "latency.ttft_ms.p50",
		"ttft  p50":                 "latency.ttft_ms.p50",
		" TTFT p99 ":                "latency.ttft_ms.p99",
		"ttft_ms.p99":               "latency.ttft_ms.p99",
		"W":                         "energy.mean_w",
		"power":                     "energy.mean_w",
		"response":                  "latency.response_ttft_ms.p50",
		"CO2e":                      "energy.co2e_g",
		"Window ±1 %":               "energy.min_window.for_1_pct_s",
	} {
		i, err := Find(asked)
		if err != nil || All()[i].Name != want {
			t.Errorf("%q: %d, %v, want %s", asked, i, err, want)
		}
	}
}

func TestFindUnknown(t *testing.T) {
	for asked, want := range map[string]struct {
		near    string // the first suggestion
		several bool
	}{
		"tftt":                     {"latency.ttft_ms.p50", false},
		"TTFT p98":                 {"latency.ttft_ms.p90", false},
		"energy.per_output_token":  {"energy.per_output_token_j", false},
		"output_tokens":            {"throughput.output_tokens_per_s", false},
		"p99":                      {"latency.ttft_ms.p99", true},
		"mean_w":                   {"energy.mean_w", true},
		"zzzzzzzzzzzzz":            {"", false},
		"":                         {"", false},
		"latency.ttft_ms.p50 < 20": {"latency.ttft_ms.p50", false},
	} {
		_, err := Find(asked)
		unknown, ok := errors.AsType[*UnknownError](err)
		if !ok {
			t.Errorf("%q: %v, want an unknown metric", asked, err)
			continue
		}
		first := ""
		if len(unknown.Near) > 0 {
			first = All()[unknown.Near[0]].Name
		}
		if first != want.near || unknown.Several != want.several {
			t.Errorf("%q: near %q, several %v, want %+v", asked, first, unknown.Several, want)
		}
		if next := unknown.NextStep(); !strings.Contains(next, want.near) || !strings.Contains(next, ListCommand) {
			t.Errorf("%q: next %q", asked, next)
		}
	}
}

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]Limit{
		"latency.ttft_ms.p99<200": {"latency.ttft_ms.p99", "<", 200},
		"TTFT p99 <= 2e2":         {"latency.ttft_ms.p99", "<=", 200},
		" tok/s>=10.5 ":           {"throughput.output_tokens_per_s", ">=", 10.5},
		"window ±1 % < 5":         {"energy.min_window.for_1_pct_s", "<", 5},
	} {
		if got, err := ParseLimit(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "TTFT", "<5", "TTFT<", "TTFT = 5", "TTFT<5<6", "TTFT<five", "TTFT<nan",
		"TTFT<inf",
		"tftt<5"} {
		if got, err := ParseLimit(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, got)
		}
	}
}

// TestTitle: an axis has the title of a metric, or its head.
func TestTitle(t *testing.T) {
	if got := []string{Title("energy.mean_w"), Title("energy.co2e_g"), Head("energy.mean_w")}; !slices.Equal(got,
		[]string{"mean power", "CO2e", "power"}) {
		t.Errorf("%q", got)
	}
}

// TestShown: intervals of amounts end at 0, intervals of differences do not.
func TestShown(t *testing.T) {
	t.Parallel()
	for _, name := range signed {
		if Index(name) < 0 {
			t.Errorf("there is no metric %s", name)
		}
	}
	below := &[2]float64{-3, 5}
	for _, m := range All() {
		want := [2]float64{0, 5}
		if strings.Contains(m.Name, "net_") || slices.Contains([]string{"energy.node_overhead_j",
			"energy.unattributed_j", "energy.agreement.difference_pct", "gpu.temperature_c"}, m.Name) {
			want = *below
		}
		if got := Shown(m.Name, 1, below); *got != want {
			t.Errorf("%s: %v, want %v", m.Name, *got, want)
		}
	}
	if Shown("energy.total_j", 1, nil) != nil || *Shown("energy.total_j", 1, &[2]float64{1, 2}) != [2]float64{1, 2} ||
		*Shown("energy.phases.other.energy_j", -1, below) != *below || *below != [2]float64{-3, 5} {
		t.Error("an interval above 0, or none, is changed")
	}
}
