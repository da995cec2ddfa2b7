package report

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
)

// TestSharedCautions: a caution that configurations share in equal words is told once, with their names.
func TestSharedCautions(t *testing.T) {
	s := swept(t, "model: random:tiny-llama\nbackend: fake\nworkload: {prompts: 64}\nsweep: {fake.batch_size: [1, "+
		"2, 4, 8, 16]}\n")
	for i := range s.Experiments {
		if i != 1 {
			s.Experiments[i].Caveats.Warn(codes.OutputsDiffer, "alike")
		}
	}
	s.Experiments[1].Caveats.Warn(codes.OutputsDiffer, "its own")
	named := view.NameConfigurations(s)
	want := []string{named.Called(0) + "; " + named.Called(2) + "; " + named.Called(3) + " and 1 more: alike",
		named.Called(1) + ": its own"}
	var got []string
	for _, c := range view.Shared(s.Experiments, named) {
		got = append(got, c.Text())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWarnedConfigurations: a warning that some runs have is told with their number and their configurations, in CSV
// with the number of each.
func TestWarnedConfigurations(t *testing.T) {
	s := swept(t, "model: random:tiny-llama\nbackend: fake\nworkload: {prompts: 64}\nsweep: {fake.batch_size: [1, "+
		"2, 4]}\n")
	const message = "others took processor time"
	for _, i := range []int{0, 2} {
		s.Runs[i].Warnings.Warn(codes.HostBusy, message)
		s.Experiments[i].Warnings = []result.Warned{{Code: codes.HostBusy, Runs: 1}}
	}
	s.Experiments[2].OK = 2
	if text, want := render(t, Terminal{}, s), "caution (2 of 3 runs: batch_size=1; batch_size=4): "+
		message; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
	var b bytes.Buffer
	if err := CSV(&b, s, -1); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(rows[0], "warnings")
	if got, want := []string{rows[1][at], rows[2][at], rows[3][at]}, []string{"host_busy", "",
		"host_busy (1 of 2)"}; !slices.Equal(got, want) {
		t.Errorf("CSV %q, want %q", got, want)
	}
	for _, i := range []int{0, 1, 2} {
		s.Experiments[i].Warnings = []result.Warned{{Code: codes.HostBusy, Runs: 1}}
	}
	if text, want := render(t, Terminal{}, s), "caution (2 of 3 runs): "+message; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

// TestAskedColumnsStay: a column that was asked for is there without a value, with what is known of why.
func TestAskedColumnsStay(t *testing.T) {
	s := swept(t, "model: random:tiny-llama\nbackend: fake\nworkload: {prompts: 64}\nsweep: "+
		"{fake.batch_size: [1, 2]}\n")
	ask := Terminal{Show: []string{"energy.per_output_token_j", "gpu.temperature_c", "latency.queue_ms.p99"}}
	var md bytes.Buffer
	if err := ask.Markdown(&md, s); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"text": render(t, ask, s), "Markdown": md.String()} {
		for _, want := range []string{"temperature", "queue p99", "no run has temperature"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
	}
	if text := render(t, Terminal{}, s); strings.Contains(text, "no run has") || strings.Contains(text, "node J/out") {
		t.Errorf("nobody asked:\n%s", text)
	}
}

// TestAdviceHoldsForAll: of the advice of several runs the one is printed that is enough for each of them.
func TestAdviceHoldsForAll(t *testing.T) {
	var s result.StudyResult
	for _, seconds := range []string{"230", "610", "220"} {
		r := &result.Record{Status: result.Failed}
		r.Warn("any", "set energy.min_window: "+seconds)
		s.Runs = append(s.Runs, r)
	}
	if all := view.Doubts(&s); len(all) != 1 || all[0].Message != "set energy.min_window: 610" || all[0].Runs != 3 {
		t.Errorf("%+v", all)
	}
}
