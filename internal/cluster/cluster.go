// Package cluster starts workers of a study on the nodes of a cluster: it writes scripts for Slurm and manifests for
// Kubernetes, and runs the commands that submit, list and cancel them. The scheduler starts workers and nothing else:
// which worker measures which run is decided by the claims in the folder of the study.
//
//	plan ─▶ Job ─▶ script (sbatch) or manifests (kubectl) ─▶ workers ─▶ the folder of the study
package cluster

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/shell"
)

// Schedulers that workers can be started with.
const (
	OnSlurm      = "slurm"
	OnKubernetes = "kubernetes"
)

// Schedulers lists the schedulers.
func Schedulers() []string { return []string{OnSlurm, OnKubernetes} }

// Job is what a scheduler is asked for: workers of one study.
type Job struct {
	// Name of the study.
	Name string
	// Dir is the folder of the study, the same on all nodes, absolute.
	Dir string
	// Study is the path of the study file, absolute; empty if the arguments name all of it.
	Study string
	// Args are further arguments of `llem run`: settings of the study, --allow-mixed and so on.
	Args []string
	// Begun reports that the folder of the study has the study.
	Begun bool
	// Suffix distinguishes the jobs of one study; empty for its first job.
	Suffix string
	// Program is llem on the nodes.
	Program string
	// Workers is how many run at a time, and Runs how many runs they share.
	Workers, Runs int
	// GPUs is how many GPUs one run needs; 0 for none.
	GPUs int
	// Seconds bounds how long all runs take one after the other; zero if unknown.
	Seconds [2]float64
	// Canary reports whether workers on several machines execute one more run each, before their first one.
	Canary bool
	// Longest is how long the longest run may take, in seconds; 0 if unknown.
	Longest float64
	// Limit is how long the scheduler lets a job run; 0 leaves that to the cluster.
	Limit time.Duration
}

// grace is how long before its time limit a worker is asked to end. It is less than most runs take: what is measured at
// that moment is measured again by another worker.
const grace = 2 * time.Minute

// start is how long a worker takes for its checks, before its canary and its first run.
const start = time.Minute

// Check refuses a job that no scheduler could run.
func (j *Job) Check() error {
	switch {
	case j.Workers < 1:
		return errors.New("no worker is asked for")
	case !filepath.IsAbs(j.Dir):
		return fmt.Errorf("the folder %s is not absolute", j.Dir)
	case j.Limit != 0 && j.Limit < 2*grace:
		return fmt.Errorf("the time limit %s leaves no time for a run: workers are asked to end %s before it",
			j.Limit, grace)
	case j.Limit != 0 && j.Longest > (j.Limit-grace-start).Seconds():
		return fmt.Errorf("the longest run takes about %s, but the time limit is %s",
			time.Duration(j.Longest*float64(time.Second)).Round(time.Second), j.Limit)
	}
	for _, text := range append([]string{j.Name, j.Dir, j.Study, j.Program}, j.Args...) {
		if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
			return fmt.Errorf("%q has a control character, which no script can hold", text)
		}
	}
	return nil
}

// mostWaves bounds how many workers follow one another in one place.
const mostWaves = 20

// Waves is how many workers follow one another in one place, so that a study longer than the time limit is finished
// without being submitted again. A worker that finds nothing left ends at once.
func (j *Job) Waves() int {
	if j.Limit == 0 || j.Seconds[1] == 0 {
		return 1
	}
	useful := (j.Limit - grace - start).Seconds() - j.Longest
	if useful <= 0 {
		return mostWaves
	}
	return min(mostWaves, max(1, int(math.Ceil(j.Seconds[1]/float64(j.Workers)/useful))))
}

// Command returns the words that start a worker of the given name.
func (j *Job) Command(worker string) []string {
	words := []string{j.Program, "run"}
	if j.Study != "" {
		words = append(words, j.Study)
	}
	words = append(words, j.Args...)
	folder := "--output="
	if j.Begun {
		folder = "--resume="
	}
	return append(words, "--worker="+worker, folder+j.Dir, "--plain")
}

// Width is what a number of workers makes of a study.
type Width struct {
	// Workers run at a time.
	Workers int
	// Seconds bounds the time from the first worker's start to the last one's end, without waiting in a queue.
	Seconds [2]float64
	// NodeHours bounds the hours of allocated nodes: the sum over workers.
	NodeHours [2]float64
}

// Widths lists what 1, 2, 4, … workers make of a study, up to twice the workers of the job, whose number is included.
// More workers than runs have no use.
func (j *Job) Widths() []Width {
	if j.Seconds[1] == 0 || j.Runs == 0 {
		return nil
	}
	numbers := []int{min(j.Workers, j.Runs)}
	for n := 1; n <= min(2*j.Workers, j.Runs); n *= 2 {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var out []Width
	for _, n := range slices.Compact(numbers) {
		out = append(out, j.width(n))
	}
	return out
}

// Canaries returns how many canaries n workers execute: each of several workers executes one.
func (j *Job) Canaries(n int) int {
	if !j.Canary || n < 2 {
		return 0
	}
	return n
}

// width spreads the study over n workers: runs cannot be divided, so that the busiest worker has the share rounded up.
// Each of several workers executes its canary, too.
func (j *Job) width(n int) Width {
	share := math.Ceil(float64(j.Runs)/float64(n)) / float64(j.Runs)
	w := Width{Workers: n}
	for i, total := range j.Seconds {
		first := start.Seconds()
		if j.Canaries(n) > 0 {
			first += total / float64(j.Runs) // it takes as long as the mean run
		}
		w.Seconds[i] = first + total*share
		w.NodeHours[i] = (float64(n)*first + total) / 3600
	}
	return w
}

// quote returns a word of a command for a shell; of a flag with a value, the value is quoted.
func quote(word string) string {
	if !strings.HasPrefix(word, "-") {
		return shell.Quote(word)
	}
	name, value, found := strings.Cut(word, "=")
	if !found {
		return name
	}
	return name + "=" + shell.Quote(value)
}

// quoted returns words for a POSIX shell.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quote(w)
	}
	return strings.Join(out, " ")
}

// LogDir is the folder within the folder of a study that has the output of its jobs.
func LogDir(dir string) string { return filepath.Join(dir, "jobs") }

// parent returns the folder of a path; nothing for nothing.
func parent(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Dir(path)
}
