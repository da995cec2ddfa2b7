package cli

import (
	"strings"
	"testing"
)

// TestReportOfOneRun checks that a run is printed in full by its folder and by its id, from disk, and that a name
// of no run is answered with similar names.
func TestReportOfOneRun(t *testing.T) {
	dir := copyStored(t, "simulated")
	for _, q := range []struct {
		args []string
		code int
		want []string // on standard output or, of mistakes, on standard error
	}{
		{[]string{dir + "/runs/a0ad14b62020-c2", "-v"}, exitOK,
			[]string{"\nSpeed", "\nEnergy", "\nWork", "no phase split: gpu0"}},
		{[]string{dir + ":a0ad14b62020-c2", "-v"}, exitOK, []string{"\nSpeed", "/runs/a0ad14b62020-c2\n"}},
		{[]string{dir + ":a0", "-v"}, exitOK, []string{"\nSpeed", "/runs/a0ad14b62020-c1\n"}},
		{[]string{dir + ":c3-c1", "--json"}, exitOK, []string{`"id": "c35190396122"`, `"cycle": 1`}},
		{[]string{dir + ":a0ad14b62021"}, exitUsage, []string{"does not name exactly one run", "of a0ad14b62020 ("}},
		{[]string{dir + ":a0ad14b62020-c9"}, exitUsage, []string{"does not name exactly one run", "of a0ad14b62020 ("}},
		{[]string{dir + ":"}, exitUsage, []string{"does not name exactly one run"}},
		{[]string{dir + ":a0", "--format", "csv"}, exitUsage, []string{"about a study"}},
	} {
		code, out, errs := llemMain(t, append([]string{"report"}, q.args...)...)
		if q.code != exitOK {
			out = errs
		}
		for _, want := range q.want {
			if code != q.code || !strings.Contains(out, want) {
				t.Errorf("%v: exit code %d, want %d and %q in\n%s", q.args, code, q.code, want, out)
			}
		}
	}
}

// TestReasonsOfStoredRuns: phases that are missing in results of an earlier version have their
// reason beneath the table.
func TestReasonsOfStoredRuns(t *testing.T) {
	dir := copyStored(t, "simulated")
	for _, format := range []string{"text", "md"} {
		_, out, _ := llemMain(t, "report", dir, "-v", "--format", format)
		if !strings.Contains(out, "no J/prefill, J/decode (4 of 4 runs): gpu0: the window holds 6 power samples") {
			t.Errorf("%s: no reason for the phases in\n%s", format, out)
		}
	}
}
