package compare

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestJointly: the primary metric of several comparisons is tested together, so that a difference that one comparison
// alone would be sure of is not sure among many; the other metrics do not count against it.
func TestJointly(t *testing.T) {
	const primary = "energy.per_output_token_j"
	differing := func(at int) *Comparison {
		c, err := Sides(sideOf("a", at, 2, 1, 1.02, 0.99), sideOf("b", at+1, 2, 1.06, 1.09, 1.05), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	alone := differing(1)
	if m := alone.Metrics[0]; m.Name != primary || m.Verdict != Higher || m.Test.P < 0.001 {
		t.Fatalf("%s: %s, p %g", m.Name, m.Verdict, m.Test.P)
	}
	for n, want := range map[int]Verdict{1: Higher, 12: MaybeHigher} {
		all := []*Comparison{}
		for i := range n {
			all = append(all, differing(10*i))
		}
		if err := Jointly(all, primary); err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			m := c.Metrics[0]
			if m.Verdict != want || n == 1 && m.Test.PAdjusted != m.Test.P || c.Answer != "" {
				t.Errorf("among %d: %s, p %g adjusted %g, %q", n, m.Verdict, m.Test.P, m.Test.PAdjusted, c.Answer)
			}
		}
	}
}

// TestWithout: metrics that are refused are not compared, and the reason stands with what is missing; the metrics that
// are asked for replace the usual ones.
func TestWithout(t *testing.T) {
	c, err := Sides(sideOf("a", 1, 2, 1, 1.1), sideOf("b", 2, 2, 1, 1.2), Options{
		Metrics: []string{"throughput.output_tokens_per_s", "energy.per_output_token_j"},
		Without: []Gap{{Metrics: []string{"energy.per_output_token_j"}, Of: "A and B", Reason: "other objectives"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Metrics) != 1 || c.Primary != "throughput.output_tokens_per_s" || strings.Contains(c.Answer, "Instead") {
		t.Errorf("%s: %+v", c.Answer, c.Metrics)
	}
	if len(c.Missing) != 1 || c.Missing[0].Head() != "no J/out (A and B)" || c.Missing[0].Reason != "other objectives" {
		t.Errorf("%+v", c.Missing)
	}
}

// TestOtherLoads: two runs at different loads are not compared silently.
func TestOtherLoads(t *testing.T) {
	of := func(from int, w study.Workload) Side {
		s := sideOf("s", from, 2, 1, 1.1)
		for _, r := range s.Runs {
			r.Config = study.Experiment{Workload: w}
		}
		return s
	}
	poisson := func(rate float64) study.Workload {
		return study.Workload{Load: study.Arrivals{Kind: "poisson", Rate: rate}}
	}
	gamma := study.Workload{Load: study.Arrivals{Kind: "gamma", Rate: 4, CV: 2}}
	for name, q := range map[string]struct {
		a, b study.Workload
		want string
	}{
		"the same":  {poisson(4), poisson(4), ""},
		"batches":   {study.Workload{Concurrency: 4}, study.Workload{Concurrency: 8}, ""},
		"rates":     {poisson(4), poisson(48), "(A poisson at 4 requests/s, B poisson at 48 requests/s)"},
		"bursts":    {poisson(4), gamma, "(A poisson at 4 requests/s, B gamma with cv 2 at 4 requests/s)"},
		"no load":   {study.Workload{}, poisson(4), "(A all requests at once, B poisson at 4 requests/s)"},
		"in flight": {poisson(4), study.Workload{Concurrency: 8}, "(A poisson at 4 requests/s, B 8 in flight)"},
	} {
		c, err := Sides(of(1, q.a), of(2, q.b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(c.Warnings, func(w string) bool {
			return strings.HasPrefix(w, "the sides have different loads "+q.want) && strings.Contains(w, "; next: ")
		})
		if told != (q.want != "") {
			t.Errorf("%s: %q", name, c.Warnings)
		}
	}
}

// TestSideWith: records that were read and judged before are compared as they are, with the machines of their rows.
func TestSideWith(t *testing.T) {
	r := run(2, 1, 1)
	r.ID = "aaaa"
	s := &result.StudyResult{Dir: "d", Rows: []result.Row{{ID: "aaaa", Cycle: 2, Status: result.OK, Worker: "w"}}}
	if side := SideWith(s, "aaaa", []*result.Record{r}); len(side.Runs) != 1 || side.Runs[0].Worker != "w" ||
		r.Worker != "" || len(side.rows) != 1 {
		t.Errorf("%+v", side)
	}
}
