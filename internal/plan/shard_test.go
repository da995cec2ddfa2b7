package plan

import (
	"math"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/shard"
)

// TestShards: the shards of a study take what the whole study takes and a canary each, and list their own runs.
func TestShards(t *testing.T) {
	s := parse(t, `
model: random:llama-3.2-1b
backend: vllm
workload: {dataset: synthetic, prompts: 8}
sweep: {workload.output_tokens: [16, 64, 256]}
execution: {cycles: 3, restart: always}
`)
	e := estimator(t, "h100")
	whole := New(Options{Study: s, Estimate: e.Need})
	if whole.Totals == nil {
		t.Fatal(whole.Missing)
	}
	if c := whole.Canary; c == nil || c.Runs != 0 || c.KWh == nil || *c.KWh <= 0 {
		t.Fatalf("the canary of the whole study: %+v, want one that its totals do not count", whole.Canary)
	}
	runs, starts, seconds, kWh := 0, 0, 0.0, 0.0
	for i := range 4 {
		p := New(Options{Study: s, Estimate: e.Need, Shard: shard.Shard{Index: i + 1, Of: 4}})
		if p.Totals == nil || p.InAll != 9 || len(p.FirstRun) != p.Runs || len(p.Shown) != p.Points {
			t.Fatalf("shard %d: %+v", i+1, p)
		}
		runs, starts = runs+p.Runs, starts+*p.Starts
		seconds, kWh = seconds+p.Totals.Seconds-*p.Canary.Seconds, kWh+p.Totals.KWh-*p.Canary.KWh
		var b strings.Builder
		if err := p.Text(&b, 80); err != nil || !strings.Contains(b.String(), " of 9 runs\n") ||
			!strings.Contains(b.String(), "\n  with a canary, the first experiment once more before the first run:") {
			t.Errorf("%v\n%s", err, b.String())
		}
	}
	if runs != whole.Runs || starts != *whole.Starts || math.Abs(seconds/whole.Totals.Seconds-1) > 1e-9 ||
		math.Abs(kWh/whole.Totals.KWh-1) > 1e-9 {
		t.Errorf("%d runs, %d starts, %g s, %g kWh; the whole study: %d, %d, %g s, %g kWh", runs, starts, seconds, kWh,
			whole.Runs, *whole.Starts, whole.Totals.Seconds, whole.Totals.KWh)
	}
}

// TestCanary: a study without canaries has none in its plan, and one that always has them tells what a worker adds.
func TestCanary(t *testing.T) {
	for setting, want := range map[string]string{"never": "", "auto": "", "always": "each worker adds a canary"} {
		s := parse(t, `
model: random:llama-3.2-1b
backend: vllm
workload: {dataset: synthetic, prompts: 8, output_tokens: 16}
execution: {cycles: 3, canary: `+setting+`}
`)
		p := New(Options{Study: s, Estimate: estimator(t, "h100").Need})
		var b strings.Builder
		if err := p.Text(&b, 80); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "canary"); got != (want != "") || !strings.Contains(b.String(), want) {
			t.Errorf("%s: want %q in\n%s", setting, want, b.String())
		}
		if (p.Canary == nil) != (setting == "never") {
			t.Errorf("%s: canary %+v", setting, p.Canary)
		}
	}
}
