package compare

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// TestOtherMethods: peaks of memory are compared where both sides have one and the same
// method, other metrics always.
func TestOtherMethods(t *testing.T) {
	of := func(methods ...result.MemoryMethod) (runs []*result.Record) {
		for _, m := range methods {
			r := &result.Record{}
			if m != "" {
				r.Memory = result.Memory{PeakBytes: new(int64(1)), Method: m}
			}
			runs = append(runs, r)
		}
		return runs
	}
	for name, c := range map[string]struct {
		metric string
		a, b   []*result.Record
		want   string
	}{
		"the same": {"memory.peak_bytes", of("process", "process"), of("process"), ""},
		"different": {"memory.peak_bytes", of("allocator"), of("process"),
			"memory.peak_bytes is not compared: it is measured by allocator in A and by process in B (see Memory " +
				"in docs/metrics.md)"},
		"mixed inside": {"memory.peak_bytes", of("process", "device"), of("process", "device"),
			"memory.peak_bytes is not compared: it is measured by device, process in A and by device, process in " +
				"B (see Memory in docs/metrics.md)"},
		"one has none":   {"memory.peak_bytes", of(""), of("process"), ""},
		"another metric": {"energy.total_j", of("allocator"), of("process"), ""},
	} {
		m, err := result.Metric(c.metric)
		if err != nil {
			t.Fatal(err)
		}
		if got := otherMethods(m, c.a, c.b); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// run is one run of a study: its cycle, when it was made, and its energy per output token.
func run(cycle, at int, joules float64) *result.Record {
	start := time.Unix(int64(at), 0)
	return &result.Record{Status: result.OK, Cycle: cycle, Window: &result.Window{Start: start, End: start},
		Throughput: &result.Throughput{OutputTokensPerS: 100 + float64(at%7)},
		Energy: result.Energy{PerOutputTokenJ: &result.Quantity{Value: joules,
			CI95: [2]float64{joules * 0.99, joules * 1.01}}}}
}

// sideOf has a run every second from the given one on, in steps.
func sideOf(study string, from, step int, joules ...float64) Side {
	s := Side{Study: study}
	for i, v := range joules {
		s.Runs = append(s.Runs, run(i+1, from+i*step, v))
	}
	return s
}

// TestSameRuns: a configuration is not compared with itself, and not with a study that has some of its runs.
func TestSameRuns(t *testing.T) {
	a := sideOf("a", 1, 2, 1, 1.1, 1.2)
	some := sideOf("merged", 1, 2, 1, 1.1)
	some.Runs = append(some.Runs, run(4, 100, 1))
	for _, q := range []struct {
		b    Side
		want string
	}{
		{sideOf("copy", 1, 2, 1, 1.1, 1.2),
			"both sides are the same runs: a configuration cannot be compared with itself"},
		{some, "2 of 3 runs of the first side are on the second side, too: " +
			"their differences would look smaller than they are"},
		{sideOf("b", 2, 2, 1, 1.1, 1.2), ""},
	} {
		_, err := Sides(a, q.b, Options{})
		if same, ok := errors.AsType[*SameError](err); ok != (q.want != "") || ok && same.Error() != q.want {
			t.Errorf("compare a with %s: %v, want %q", q.b.Study, err, q.want)
		}
	}
}

// TestServiceTimesOfOneSide: where one side does not know its service times, nothing takes their
// place under their name: response times are compared, as such, and the reason is told.
func TestServiceTimesOfOneSide(t *testing.T) {
	of := func(l result.Latency, from int, energy ...float64) Side {
		s := sideOf("s", from, 2, energy...)
		for _, r := range s.Runs {
			r.Latency = &l
		}
		return s
	}
	at := func(ms float64) *result.Distribution {
		return &result.Distribution{N: 64, Mean: ms, Min: ms, P50: ms, Max: ms}
	}
	known := result.Latency{ITL: at(1), TTFT: at(15), Queue: at(0), ResponseTTFT: at(15)}
	unknown := result.Latency{ITL: at(1), ResponseTTFT: at(1730), Reason: "its queue cannot be seen"}
	for name, q := range map[string]struct {
		a, b    result.Latency
		metric  string
		none    string
		missing string
	}{
		"both": {known, known, "latency.ttft_ms.p50", "latency.response_ttft_ms.p50", ""},
		"one": {known, unknown, "latency.response_ttft_ms.p50", "latency.ttft_ms.p50",
			"no TTFT (B): its queue cannot be seen"},
		"neither": {unknown, unknown, "latency.response_ttft_ms.p50", "latency.ttft_ms.p50",
			"no TTFT (A and B): its queue cannot be seen"},
	} {
		c, err := Sides(of(q.a, 1, 1, 1.1, 1), of(q.b, 2, 1, 1, 1.1), Options{})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, m := range c.Metrics {
			names[m.Name] = true
		}
		if !names[q.metric] || names[q.none] {
			t.Errorf("%s: compared %v, want %s and not %s", name, names, q.metric, q.none)
		}
		var texts []string
		for _, g := range c.Missing {
			texts = append(texts, g.Head()+": "+g.Reason)
		}
		if text := strings.Join(texts, "; "); text != q.missing || len(c.Warnings) > 0 {
			t.Errorf("%s: missing %q, want %q; cautions %q", name, text, q.missing, c.Warnings)
		}
	}
}

func TestAnswers(t *testing.T) {
	elsewhere := sideOf("s", 1, 2, 1, 1, 1)
	elsewhere.Runs[1].Backend.GPUs = []string{"GPU-2"}
	extra := sideOf("s", 1, 2, 0.9, 0.91, 0.9)
	extra.Runs = append(extra.Runs, run(4, 90, 0.5))
	for name, c := range map[string]struct {
		a, b    Side
		paired  bool
		verdict Verdict
		// says are parts of the answer, in this order.
		says []string
	}{
		"told": {sideOf("s", 0, 2, 1, 1.01, 1.02), sideOf("s", 1, 2, 0.9, 0.91, 0.92), true, Lower,
			[]string{"J/out is 9.90 % lower in B than in A (95 %: 9.66 to 10.14 % lower; 3 " +
				"cycles in pairs)."}},
		"as a factor": {sideOf("s", 0, 2, 1, 1.01, 1.02), sideOf("s", 1, 2, 481, 482, 483), true, Higher,
			[]string{"is 477 times as high in B as in A (95 %: 468 to 487 times; 3 cycles in pairs)."}},
		"not told": {sideOf("s", 0, 2, 1, 1.02, 0.99), sideOf("s", 1, 2, 1.01, 1, 1.005), true, NotTold,
			[]string{"Whether J/out differs cannot be told with 3 cycles in pairs: B lies " +
				"from 4.4 % lower " +
				"to 5.0 % higher (95 %). With 3, a difference can be told if it is 7.", " % or more, with 5, 3.",
				"; the 0.17 % seen would take more than 200."}},
		"two cycles": {sideOf("s", 0, 2, 1, 1.02), sideOf("s", 1, 2, 1.05, 1.04), true, NotTold,
			[]string{"cannot be told with 2 cycles in pairs", "With 2, a difference can be told if it is", "with 5, ",
				"the 3.5 % seen would take about "}},
		"many": {sideOf("s", 0, 2, 1, 1.02, 1, 1.02, 1, 1.02), sideOf("s", 1, 2, 1.02, 1.01, 1.02, 1.01, 1.01, 1.01),
			true, NotTold, []string{"With 6, a difference can be told if it is", "% or more; the 0.3",
				"seen would take about"}},
		"one after the other": {sideOf("s", 0, 1, 1, 1.01, 1.02), sideOf("s", 9, 1, 0.9, 0.91, 0.92), false, Lower,
			[]string{"(95 %: 4.9 to 14.7", "3 runs each)"}},
		"two studies": {sideOf("s", 0, 2, 1, 1.01, 1.02), sideOf("t", 1, 2, 0.9, 0.91), false, Lower,
			[]string{"3 and 2 runs"}},
		"two GPUs": {sideOf("s", 0, 2, 1, 1, 1.1), elsewhere, false, NotTold, []string{"3 runs each"}},
		"one more cycle": {sideOf("s", 0, 2, 1, 1.01, 1), extra, true, Lower,
			[]string{"3 cycles in pairs"}},
		"one run": {sideOf("s", 0, 2, 1), sideOf("s", 1, 2, 2), true, NotTested,
			[]string{"is 100 % higher in B than in A, by 1 run each: the scatter of the runs is unknown",
				"The runs' own 95 % intervals, of the sensor alone, are 990 mJ to 1.01 J in A and 1.98 J to " +
					"2.02 J in B."}},
		"one against three": {sideOf("s", 0, 2, 1), sideOf("t", 1, 2, 2, 2.1, 2.2), false, NotTested,
			[]string{"times as high in B as in A, by 1 and 3 runs: "}},
		"the same": {sideOf("s", 0, 2, 1, 1), sideOf("s", 1, 2, 1, 1), true, Same,
			[]string{"is the same in all runs of both (2 cycles in pairs)"}},
		"no scatter": {sideOf("s", 0, 2, 4, 4), sideOf("s", 1, 2, 3, 3), true, Lower,
			[]string{"is 25 % lower in B than in A, with the same change in every run"}},
		"a zero": {sideOf("s", 0, 2, 0, 1, 2), sideOf("s", 1, 2, 11, 12.1, 13.2), true, Higher,
			[]string{"is 11.1 J higher in B than in A (95 %: from 10.9 J to 11.3 J; 3 cycles in pairs)"}},
	} {
		got, err := Sides(c.a, c.b, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m := got.Metrics[0]
		if got.Paired != c.paired || m.Verdict != c.verdict || got.Primary != "energy.per_output_token_j" {
			t.Errorf("%s: paired %v (%s), %s of %s", name, got.Paired, got.PairedWhy, m.Verdict, got.Primary)
		}
		at := 0
		for _, want := range c.says {
			i := strings.Index(got.Answer[at:], want)
			if i < 0 {
				t.Errorf("%s: %q has not %q after %q", name, got.Answer, want, got.Answer[:at])
				break
			}
			at += i + len(want)
		}
		if c.verdict == NotTold && strings.Contains(got.Answer, "no difference") {
			t.Errorf("%s: %s", name, got.Answer)
		}
	}
}

// The primary metric is tested at the full level; the others are corrected for their number.
func TestPrimaryIsNotCorrected(t *testing.T) {
	a, b := sideOf("s", 0, 2, 1, 1.01, 1.03), sideOf("s", 1, 2, 1.03, 1.05, 1.05)
	for i := range a.Runs {
		for _, r := range []*result.Record{a.Runs[i], b.Runs[i]} {
			r.Energy.MeanW = r.Energy.PerOutputTokenJ
		}
		// Three more that nothing is known of.
		a.Runs[i].Latency = &result.Latency{TTFT: &result.Distribution{N: 1, P50: 1 + float64(i)},
			ITL: &result.Distribution{N: 1, P50: 2 - float64(i)/2}}
		b.Runs[i].Latency = &result.Latency{TTFT: &result.Distribution{N: 1, P50: 3 - float64(i)},
			ITL: &result.Distribution{N: 1, P50: 1 + float64(i)/3}}
	}
	for _, primary := range []string{"", "energy.mean_w"} {
		c, err := Sides(a, b, Options{Primary: primary})
		if err != nil {
			t.Fatal(err)
		}
		first := c.Metrics[0]
		if want := cmp.Or(primary, "energy.per_output_token_j"); first.Name != want || first.Verdict != Higher ||
			first.Test.P != first.Test.PAdjusted {
			t.Errorf("primary %q: %s is %s, %+v", want, first.Name, first.Verdict, first.Test)
		}
		for _, m := range c.Metrics[1:] {
			if m.A != first.A {
				continue
			}
			if m.Verdict != MaybeHigher || m.Test.P != first.Test.P || m.Test.PAdjusted < 3*m.Test.P ||
				m.Visible.From <= first.Visible.From {
				t.Errorf("the same numbers as a secondary metric: %s, %+v, %+v", m.Verdict, m.Test, m.Visible)
			}
		}
	}
	if _, err := Sides(a, b, Options{Primary: "energy.total_j"}); !errors.Is(err, ErrPrimary) {
		t.Errorf("a metric that is not there: %v", err)
	}
	for i := range a.Runs {
		a.Runs[i].Energy.PerOutputTokenJ = nil
	}
	c, err := Sides(a, b, Options{})
	if err != nil || c.Primary != "throughput.output_tokens_per_s" ||
		!strings.HasPrefix(c.Answer, "J/out is not known on both sides. Instead: tok/s is ") {
		t.Errorf("without energy: %+v, %v", c, err)
	}
}

// Lines of a table: what is printed as a percentage, and what as a factor.
func TestChange(t *testing.T) {
	for _, c := range []struct {
		ratio, low, high float64
		value, interval  string
	}{
		{0.535, 0.532, 0.538, "−46.50 %", "−46.80 to −46.20 %"},
		{1.0002, 0.99, 1.01, "0.0 %", "−1.0 to +1.0 %"},
		{1.2, 0.7, 2, "+20 %", "−30 to +100 %"},
		{480.6, 401.2, 560.1, "× 481", "401 to 560"},
		{0.002, 0.001, 0.004, "× 0.00200", "0.00100 to 0.00400"},
		{1.1, 0.1, 12, "× 1.10", "0.100 to 12.0"},
		{1, 1, 1, "0 %", "0 to 0 %"},
		{1.25, 1.25, 1.25, "+25 %", "+25 to +25 %"},
	} {
		m := Metric{Ratio: &c.ratio, CI95: &[2]float64{c.low, c.high}}
		if value, interval := m.Change(); value != c.value || interval != c.interval {
			t.Errorf("%v [%v, %v]: %q, %q, want %q, %q", c.ratio, c.low, c.high, value, interval, c.value, c.interval)
		}
	}
}

// TestFarIntervals: the ends of an interval that tells nothing are not printed with all their digits.
func TestFarIntervals(t *testing.T) {
	c, err := Sides(sideOf("s", 0, 2, 1, 900), sideOf("s", 1, 2, 2, 0.01), Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, interval := c.Metrics[0].Change()
	if want := "under 0.0001 to over 10000"; interval != want ||
		!strings.Contains(c.Answer, "B is "+want+" times A (95 %). ") {
		t.Errorf("%q, want %q; %s", interval, want, c.Answer)
	}
}
