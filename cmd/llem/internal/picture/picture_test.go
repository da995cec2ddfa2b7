package picture

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// simulated opens the stored study of the simulated GPU.
func simulated(t *testing.T) *result.StudyResult {
	t.Helper()
	opened, _ := store.Open("../../../../testdata/stored/simulated")
	if opened == nil {
		t.Fatal("the stored study cannot be read")
	}
	return opened.StudyResult
}

// svg draws a chart.
func svg(t *testing.T, p *Picture) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Draw(figure.Style{}).SVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMark: every chart of a study that is not measured carries that in bold, whatever its metric.
func TestMark(t *testing.T) {
	t.Parallel()
	const want = `font-weight="bold">simulated, not measured</text>`
	s := simulated(t)
	for _, kind := range Kinds() {
		for _, y := range []string{"", "latency.ttft_ms.p50"} {
			p, err := New(kind, s, Options{Y: y})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(svg(t, p), want) {
				t.Errorf("%s of %q does not hold %s", kind, y, want)
			}
		}
	}
	for i := range s.Experiments { // runs of a simulated GPU whose energy was not asked for
		s.Experiments[i].Provenance, s.Experiments[i].Flags = "", []note.Code{codes.Simulated}
	}
	p, err := New("latency", s, Options{})
	if err != nil || !strings.Contains(svg(t, p), want) {
		t.Errorf("times of a simulated GPU without energy have no mark (%v)", err)
	}
	for _, q := range []struct {
		kinds []result.Provenance
		mark  string
	}{
		{[]result.Provenance{"measured", "measured"}, ""},
		{[]result.Provenance{"measured", "none"}, ""},
		{[]result.Provenance{"modelled", "modelled"}, "energy modelled, not measured"},
		{[]result.Provenance{"none", "modelled"}, "energy modelled, not measured"},
		{[]result.Provenance{"measured", "modelled"}, "energy: measured and modelled"},
	} {
		for i := range s.Experiments {
			s.Experiments[i].Provenance, s.Experiments[i].Flags = q.kinds[i%2], nil
		}
		if got := Of(s).Mark(); got != q.mark {
			t.Errorf("%v: mark %q, want %q", q.kinds, got, q.mark)
		}
	}
}

// TestNoValues: that one configuration failed is not the reason why none has a metric.
func TestNoValues(t *testing.T) {
	t.Parallel()
	const why = "no run succeeded"
	s := simulated(t)
	s.Experiments[0].MetricsReason = why
	if _, err := New("pareto", s, Options{X: "load.completed_rps"}); err == nil || strings.Contains(err.Error(), why) {
		t.Errorf("one of %d failed: %v", len(s.Experiments), err)
	}
	for i := range s.Experiments {
		s.Experiments[i].MetricsReason = why
	}
	if _, err := New("pareto", s, Options{X: "load.completed_rps"}); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("all failed: %v", err)
	}
}

// TestFlags: a flag is a letter in the chart, explained below it, and words in the data.
func TestFlags(t *testing.T) {
	t.Parallel()
	s := simulated(t)
	s.Experiments[1].Flags = append(slices.Clone(s.Experiments[1].Flags), codes.Agreement, codes.Throttled)
	p, err := New("phases", s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := svg(t, p)
	for _, want := range []string{">batch_size=2 [ab]</text>", "[a] agreement", "[b] throttled"} {
		if !strings.Contains(text, want) {
			t.Errorf("the chart does not hold %q", want)
		}
	}
	if got := p.Data[2][1]; got != "batch_size=2 [agreement] [throttled]" {
		t.Errorf("data %q", got)
	}
	if p, err = New("scaling", s, Options{}); err != nil {
		t.Fatal(err)
	}
	text = svg(t, p)
	for _, want := range []string{">[ab]</text>", "[a] agreement", "[b] throttled"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("the chart of scaling holds %q %d times, want once", want, strings.Count(text, want))
		}
	}
}
