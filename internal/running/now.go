package running

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// fresh is the age up to which the state of a process that cannot be asked for, because it is on another machine, is
// taken for the state of a process that runs: it is written at least every few seconds.
const fresh = 2 * time.Minute

// Now returns a sentence on the processes that execute the study in a folder now; empty if none is known to.
func Now(dir string) string { return now(dir, time.Now()) }

func now(dir string, at time.Time) string {
	all, err := Read(os.DirFS(dir))
	if err != nil {
		return ""
	}
	var workers []string
	n := 0
	for i := range all {
		switch s := &all[i]; s.Standing() {
		case Died:
			continue
		case Elsewhere:
			if age := at.Sub(s.Written); age > fresh || age < -fresh {
				continue
			}
		}
		if n++; all[i].Worker != "" {
			workers = append(workers, all[i].Worker)
		}
	}
	const most = 5
	named := strings.Join(workers[:min(most, len(workers))], ", ")
	if more := len(workers) - most; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case n == 0:
		return ""
	case len(workers) == 0:
		return "a process is executing the study"
	case n == 1:
		return "the worker " + named + " is executing the study"
	}
	return fmt.Sprintf("%d workers are executing the study (%s)", n, named)
}
