package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads/loadstest"
)

// TestReportOfLoads: the report of a study with loads answers first for the study's objective, and for any other one
// from the stored requests; a mistake in an objective is explained.
func TestReportOfLoads(t *testing.T) {
	t.Parallel()
	dir, err := loadstest.Folder(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		args []string
		code int
		want []string
	}{
		{nil, 0, []string{"at ≥ 95 % within TTFT 500 ms, TPOT 50 ms:", "bfloat16 at ", " per good token", "J/request",
			"in the full report"}},
		{[]string{"--slo", "ttft=1ms"}, 0, []string{"at ≥ 95 % within TTFT 1 ms:", "met the objective at no load"}},
		{[]string{"--slo", "ttft=1h,attainment=50%"}, 0, []string{"at ≥ 50 % within TTFT 3.6e+06 ms:"}},
		{[]string{"-v"}, 0, []string{"saturated: times would describe the length of the run"}},
		{[]string{"--slo", "itl=3ms"}, 2, []string{"there is no limit \"itl\"", "next: write limits"}},
		{[]string{"--slo", "ttft=1s", "--recompute"}, 2, []string{"exclude each other"}},
	} {
		code, stdout, stderr := llemMain(t, append([]string{"report", dir}, q.args...)...)
		if code != q.code {
			t.Errorf("%v: exit %d, want %d", q.args, code, q.code)
		}
		for _, want := range q.want {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%v: no %q in\n%s%s", q.args, want, stdout, stderr)
			}
		}
	}
	page := filepath.Join(t.TempDir(), "report.html")
	if code, _, stderr := llemMain(t, "report", dir, "--html", page); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	text, err := os.ReadFile(page)
	for _, want := range []string{"with the load line and its 95 % band",
		`<p class="answer">At ≥ 95 % within TTFT 500 ms, TPOT 50 ms: bfloat16 at `} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("the page has no %q (%v)", want, err)
		}
	}
}
