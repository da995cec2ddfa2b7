package campaign

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// overheadEnv is how often a study is executed in turns by a process alone and by a worker.
const overheadEnv = "LLEM_TEST_OVERHEAD"

// TestWorkerOverhead measures what a worker takes more for each run than a process that works alone: claiming,
// checking, looking at the journals, and releasing. The runs take no time, because the clock of the study is virtual;
// all work on the disk takes its real time. It judges nothing: it is a benchmark that needs a bubble of time.
func TestWorkerOverhead(t *testing.T) {
	const runs = 80
	times := 0
	if n := os.Getenv(overheadEnv); n == "" {
		t.Skipf("measured by hand: %s=9", overheadEnv)
	} else if _, err := fmt.Sscan(n, &times); err != nil || times < 1 {
		t.Fatalf("%s=%q: want a number of studies", overheadEnv, n)
	}
	one := func(worker bool) (ms, cpu float64) {
		bubble(t, func(t *testing.T) {
			m := newTeam(t, clusterStudy(t, runs))
			o := m.worker("a", func(o *Options, _ *stub) {
				if !worker {
					o.Worker, o.Results = nil, m.dir
				}
			})
			began, used := clock.Mono(), processorTime(t) // of the machine, not of the bubble
			if r, err := Run(t.Context(), o); err != nil || !r.Complete {
				t.Errorf("%+v, %v", r, err)
			}
			ms = float64(clock.Mono()-began) / 1e6 / float64(runs)
			cpu = (processorTime(t) - used) / float64(runs)
		})
		return ms, cpu
	}
	var alone, with, pairs, cpus []float64
	for range times {
		a, aCPU := one(false)
		w, wCPU := one(true)
		alone, with, pairs, cpus = append(alone, a), append(with, w), append(pairs, w-a), append(cpus, wCPU-aCPU)
	}
	median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
	t.Logf("for each run: %.2f ms alone, %.2f ms as a worker, %.2f ms more, of that %.2f ms of processor time "+
		"(medians of %d studies of %d runs)", median(alone), median(with), median(pairs), median(cpus), times, runs)
}

// processorTime is the processor time of this process, in ms.
func processorTime(t *testing.T) float64 {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}
