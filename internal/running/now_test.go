package running

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
)

// TestNow: processes that execute a study are told, the ones of other machines while their states are fresh, and dead
// ones are not.
func TestNow(t *testing.T) {
	own, ok := kin.Read(os.Getpid())
	if !ok {
		t.Skip("the kernel does not describe processes here")
	}
	at := time.Now()
	here := Process{System: kin.System(), PID: os.Getpid(), Start: own.Start}
	dead := Process{System: kin.System(), PID: 1 << 22, Start: 1}
	far := func(pid int) Process { return Process{System: "00000000", PID: pid, Start: 1} }
	of := func(p Process, worker string, age time.Duration) State {
		return State{SchemaVersion: schemaVersion, Process: p, Worker: worker, Written: at.Add(-age), Began: at}
	}
	for want, states := range map[string][]State{
		"":                                    {of(dead, "", 0), of(far(1), "a", time.Hour)},
		"a process is executing the study":    {of(here, "", time.Hour), of(dead, "", 0)},
		"the worker a is executing the study": {of(far(1), "a", time.Second), of(far(2), "b", time.Hour)},
		"2 workers are executing the study (a, b)": {of(here, "a", 0), of(far(2), "b", time.Minute)},
		"7 workers are executing the study (a, b, c, d, e and 2 more)": {of(far(1), "a", 0), of(far(2), "b", 0),
			of(far(3), "c", 0), of(far(4), "d", 0), of(far(5), "e", 0), of(far(6), "f", 0), of(far(7), "g", 0)},
	} {
		dir := t.TempDir()
		for i, s := range states {
			s.Began = s.Began.Add(time.Duration(i))
			text, err := json.Marshal(s)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, s.Process.file()), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := now(dir, at); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Now(filepath.Join(t.TempDir(), "none")); got != "" {
		t.Errorf("no folder: %q", got)
	}
}
