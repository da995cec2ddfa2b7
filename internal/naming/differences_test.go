package naming_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/study"
)

func TestDifferences(t *testing.T) {
	parse := func(text string) *study.Study {
		s, err := study.Parse("s.yaml", []byte("model: random:tiny-llama\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := parse("sweep: {seed: 1..3}\nexecution: {cycles: 2, order: shuffle}")
	b := parse("sweep: {seed: 2..12}\nexecution: {cycles: 3, order: shuffle, seed: 9}")
	d := strings.Join(naming.Differences(b, a, study.Experiment.Measured), "\n")
	for _, want := range []string{"not in the study that was started: random:tiny-llama",
		"not in the study that was started: 4 more",
		"no longer in the study: random:tiny-llama", "execution.cycles is 3, was 2", "execution.seed is 9, was "} {
		if !strings.Contains(d, want) {
			t.Errorf("no %q in\n%s", want, d)
		}
	}
	// A key that is in no label is named with both values; a seed that nobody set is not.
	changed := parse("warmup.runs: 4\nsweep: {seed: 1..3}\nexecution: {cycles: 2, order: shuffle}")
	d = strings.Join(naming.Differences(changed, a, study.Experiment.Measured), "\n")
	if d != "warmup.runs is 4, was 1" {
		t.Errorf("differences %q", d)
	}
	// Sequential was the default of earlier versions, so a study that was started by one and gives no order is resumed.
	before, now := parse("execution: {cycles: 2, order: sequential}"), parse("execution.cycles: 2")
	if d := naming.Differences(now, before, study.Experiment.Measured); len(d) > 0 {
		t.Errorf("differences of a study of an earlier version: %q", d)
	}
	for order, given := range map[string]*study.Study{"balanced": before, "interleave": now} {
		started := parse("execution: {cycles: 2, order: " + order + "}")
		if d := naming.Differences(given, started, study.Experiment.Measured); len(d) != 1 {
			t.Errorf("differences of another order than %s: %q", order, d)
		}
	}
	fewer := parse("warmup.runs: 4\nsweep: {seed: 1..2}\nexecution: {cycles: 2, order: shuffle}")
	d = strings.Join(naming.Differences(fewer, a, study.Experiment.Measured), "\n")
	if !strings.Contains(d, "warmup.runs=4 seed=1") || !strings.Contains(d, "warmup.runs=1 seed=3") ||
		strings.Contains(d, "execution.seed") {
		t.Errorf("differences\n%s", d)
	}
	if d := naming.Differences(a,
		parse("name: other\nenergy: {price_per_kwh: 1}\nsweep: {seed: [3, 1, 2]}\nexecution: "+
			"{cycles: 2, order: shuffle, run_timeout: 3h}"), study.Experiment.Measured); len(d) > 0 {
		t.Errorf("differences in what does not matter: %v", slices.Compact(d))
	}
}
