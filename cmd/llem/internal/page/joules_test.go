package page

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// measured returns a configuration of three runs whose metrics have these means and intervals of a tenth.
func measured(t *testing.T, id, dtype string, means map[string]float64) result.ExperimentSummary {
	t.Helper()
	e := result.ExperimentSummary{ID: id, OK: 3, Status: result.OK, Provenance: result.Measured,
		Config: study.Experiment{Model: "m", Backend: "pytorch", DType: dtype}}
	metrics := map[string]result.Spread{}
	for name, v := range means {
		metrics[name] = result.Spread{N: 3, Mean: v, CI95: &[2]float64{0.9 * v, 1.1 * v}}
	}
	text, err := json.Marshal(metrics)
	if err == nil {
		err = json.Unmarshal(text, &e.Metrics)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// plain is the text of a page without its markup.
func plain(page string) string {
	return strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")), " ")
}

// TestJoules divides the energy of a configuration with a split, and of one without.
func TestJoules(t *testing.T) {
	t.Parallel()
	total := map[string]float64{"energy.total_j": 1000, "energy.per_output_token_j": 10, "energy.per_request_j": 100,
		"energy.net_j": 600, "energy.net_per_output_token_j": 6}
	split := map[string]float64{"energy.phases.prefill.energy_j": 200, "energy.phases.decode.energy_j": 700,
		"energy.phases.prefill.low_j": 150, "energy.phases.prefill.high_j": 250, "energy.phases.shared_j": 100,
		"energy.phases.other.energy_j": 80, "energy.unattributed_j": 20}
	maps.Copy(split, total)
	without := measured(t, "b", "float32", total)
	without.Missing = []result.Missing{{Of: "energy.phases", Reason: "the <steps> are too short to tell apart",
		Runs: 3}}
	s := &result.StudyResult{Name: "n", OK: 6, Planned: 6, Experiments: []result.ExperimentSummary{
		measured(t, "a", "float16", split), without}}
	text := plain(write(t, "joules.html", s, Options{}))
	for _, want := range []string{
		"of prefill decode other, between steps not attributed total, gross net of bare idle net of loaded idle host",
		"float16 measured one run 200 J ± 20.0 J bounds 150 J to 250 J 700 J ± 70.0 J 80.0 J ± 8.00 J 20.0 " +
			"J ± 2.00 J " +
			"1.00 kJ ± 100 J 600 J ± 60.0 J – 1 – 2",
		"output token 2.00 J ± 200 mJ bounds 1.50 J to 2.50 J 7.00 J ± 700 mJ 800 mJ ± 80.0 mJ 200 mJ ± 20.0 mJ " +
			"10.0 J ± 1.00 J 6.00 J ± 600 mJ",
		"request 20.0 J ± 2.00 J bounds 15.0 J to 25.0 J 70.0 J",
		"float32 measured one run not separable 3 not separable 3 not separable 3 not separable 3 1.00 kJ ± 100 J",
		"the idle power with the model loaded is not known",
		"no meter of the machine or its processors was read",
		"the &lt;steps&gt; are too short to tell apart",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if t.Failed() {
		_, text, _ = strings.Cut(text, "Where the joules go")
		t.Logf("%.1500s", text)
	}
}

// TestPercentiles: a percentile of too few values is not shown, its reason is.
func TestPercentiles(t *testing.T) {
	t.Parallel()
	e := measured(t, "a", "float16", map[string]float64{"latency.ttft_ms.p50": 31, "latency.tpot_ms.p50": 12,
		"latency.itl_ms.p99": 44})
	e.Missing = []result.Missing{{Of: "latency.ttft_ms", Reason: "too few values, 32: p90 takes 64"}}
	text := plain(write(t, "times.html", &result.StudyResult{Name: "n", Experiments: []result.ExperimentSummary{e}},
		Options{}))
	for _, want := range []string{"configuration TTFT TPOT ITL p50 p90 p99 p50 p90 p99 p50 p90 p99",
		"31.0 ms 27.9 ms to 34.1 ms – 1 – 1 12.0 ms", "too few values, 32: p90 takes 64"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestFacets lists the values of each key that varies with their counts, and names the first of many.
func TestFacets(t *testing.T) {
	t.Parallel()
	s := &result.StudyResult{Name: "n"}
	for i := range 20 {
		e := measured(t, string(rune('a'+i)), []string{"float16", "bfloat16"}[i%2], nil)
		e.Config.Workload.InputTokens = i + 1
		s.Experiments = append(s.Experiments, e)
	}
	page := write(t, "facets.html", s, Options{})
	text := plain(page)
	for _, want := range []string{"dtype float16 10 bfloat16 10", "input_tokens 1 1 2 1 3 1",
		"12 1 and 8 more values"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if !strings.Contains(page, `{"key":"dtype","values":["float16","bfloat16"],"n":[10,10]}`) ||
		!strings.Contains(page, `"f":[1,19]}`) {
		t.Error("the data lacks the values of the keys")
	}
}

// TestSelfTest states the verdict of the self-test, or that there was none.
func TestSelfTest(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]struct{ text, want string }{
		"none": {`{"skipped": "no power sensor is used", "next": "llem doctor"}`,
			"Not run: no power sensor is used."},
		"report": {`{"schema_version": 1, "verdict": [{"level": "warn", "device": "gpu0", "text": "hot", "fix": ` +
			`"cool"}]}`, ""},
		"damaged": {`{"skipped": `, "The self-test of the study cannot be read."},
	} {
		got := selfTest([]byte(q.text))
		if got.Without != q.want || q.want != "" && got.Next != "llem doctor" {
			t.Errorf("%s: %+v", name, got)
		}
		if q.want == "" && (len(got.Findings) != 1 || got.Findings[0] != finding{"warn", "gpu0: hot", "cool"}) {
			t.Errorf("%s: %+v", name, got.Findings)
		}
	}
	if got := selfTest(nil); got.Without == "" || got.Next != "llem doctor" {
		t.Errorf("without a file: %+v", got)
	}
}

// TestDoubtsOnce: what a code means is said once, with what it does to the numbers; the message is behind it.
func TestDoubtsOnce(t *testing.T) {
	t.Parallel()
	s := &result.StudyResult{Name: "n", OK: 2}
	s.Caveats.Warn("series_gaps", "gpu0: 217 ms without samples")
	s.Caveats.Warn("unheard_of", "a message of its own")
	text := plain(write(t, "doubts.html", s, Options{}))
	for _, want := range []string{"series_gaps , caution. The power series of a device has gaps in the window. " +
		"As recorded gpu0: 217 ms without samples", "unheard_of . a message of its own How"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %q in %s", want, text[strings.Index(text, "What limits"):])
		}
	}
}

// TestCite: the version that measured is cited, not the version that made the page.
func TestCite(t *testing.T) {
	t.Parallel()
	page := write(t, "cite.html", stored(t), Options{Version: "v9"})
	if !strings.Contains(page, "measured with llem v0.0.0-20261129024043-d7a5ad367e7e, ") ||
		strings.Contains(page, "measured with llem v9") {
		t.Error("the page cites another version")
	}
}
