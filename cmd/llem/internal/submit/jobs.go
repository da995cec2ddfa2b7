package submit

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/cluster"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/study"
)

// watchEvery is how often the scheduler and the folder are looked at.
const watchEvery = 5 * time.Second

// scheduler asks a scheduler about jobs.
type scheduler interface {
	Status(ctx context.Context, run cluster.Runner, ids []string) ([]cluster.Task, error)
	Cancel(ctx context.Context, run cluster.Runner, ids []string) error
}

// schedulerOf returns the scheduler of a submission.
func schedulerOf(s cluster.Submission) scheduler {
	if s.On == cluster.OnKubernetes {
		return &cluster.Kubernetes{Namespace: s.Namespace}
	}
	return &cluster.Slurm{}
}

// jobs are the jobs of a study.
type jobs struct {
	dir, on string
	list    []cluster.Submission
}

// jobsOf finds the jobs of a study: of Slurm in its folder, of Kubernetes by their labels.
func (c *Command) jobsOf(dir, on string) (jobs, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return jobs{}, err
	}
	if on == cluster.OnKubernetes {
		site, err := siteOf(study.Options{User: study.UserFile(c.Getenv), Getenv: c.Getenv})
		if err != nil {
			return jobs{}, err
		}
		return jobs{dir, on, []cluster.Submission{{On: on, IDs: []string{cluster.JobName(abs)},
			Namespace: site.kubernetes.Namespace}}}, nil
	}
	if why := disk.NoFolder(dir); why != "" {
		return jobs{}, &UsageError{why,
			"give the folder that `llem submit --now` printed; with --on kubernetes it need not be here"}
	}
	list, err := cluster.Submissions(dir)
	if err == nil && len(list) == 0 {
		err = &UsageError{fmt.Sprintf("no jobs of %s were submitted, or all were cancelled", dir),
			"start workers: " + (jobs{dir: dir, on: cluster.OnSlurm}).again() +
				"; of jobs in Kubernetes, add --on kubernetes"}
	}
	return jobs{dir, cluster.OnSlurm, list}, err
}

// cancelJobs ends the workers of a study.
func (c *Command) cancelJobs(ctx context.Context, j jobs) error {
	for _, s := range j.list {
		if err := schedulerOf(s).Cancel(ctx, cluster.Exec, s.IDs); err != nil {
			return err
		}
		fmt.Fprintf(c.Out, "cancelled: %s %s\n", s.On, strings.Join(s.IDs, " "))
	}
	if j.on == cluster.OnSlurm {
		if err := cluster.Record(j.dir, cluster.Submission{Cancelled: true, Time: time.Now().UTC()}); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.Err, "finished runs are kept; a run that is being measured is dropped; to continue: %s\n", j.again())
	return nil
}

// again is the command that starts workers again: the folder has the study once a worker has begun it.
func (j jobs) again() string {
	file := ""
	if _, _, err := store.ReadFrozen(j.dir); err != nil {
		file = "STUDY.yaml "
	}
	return fmt.Sprintf("llem submit %s--on %s --resume %s --now", file, j.on, shell.Path(j.dir))
}

// jobStatus shows the workers and the progress of a study, once or until no worker is left.
func (c *Command) jobStatus(ctx context.Context, j jobs, watch bool) error {
	p := newProgress(j.dir)
	for last := ""; ; {
		tasks, err := tasksOf(ctx, j.list)
		if ctx.Err() != nil {
			return c.leftAlone(j)
		}
		if err != nil {
			return err
		}
		if err := p.look(); err != nil {
			return err
		}
		made, planned := len(p.made), p.planned
		if text := statusText(tasks, made, planned, !watch); text != last {
			fmt.Fprint(c.Out, text)
			last = text
		}
		if !watch || !anyAlive(tasks) {
			c.afterwards(j, made, planned, anyAlive(tasks))
			return nil
		}
		if clock.Sleep(ctx, watchEvery) != nil {
			return c.leftAlone(j)
		}
	}
}

// leftAlone prints how to return to jobs that go on.
func (c *Command) leftAlone(j jobs) error {
	on := ""
	if j.on == cluster.OnKubernetes {
		on = " --on " + j.on
	}
	fmt.Fprintf(c.Err, "\nthe jobs go on; return with: llem submit --status %s%s --watch\n", shell.Path(j.dir), on)
	return nil
}

// afterwards names the next step.
func (c *Command) afterwards(j jobs, made, planned int, alive bool) {
	switch {
	case planned > 0 && made >= planned:
		fmt.Fprintf(c.Err, "all runs are there: llem report %s\n", shell.Path(j.dir))
	case !alive:
		where := "kubectl logs"
		if j.on == cluster.OnSlurm {
			where = cluster.LogDir(j.dir)
		}
		fmt.Fprintf(c.Err, "no worker is left; their output: %s; to continue: %s\n", where, j.again())
	}
}

// tasksOf lists the workers of all submissions.
func tasksOf(ctx context.Context, list []cluster.Submission) ([]cluster.Task, error) {
	var out []cluster.Task
	for _, s := range list {
		tasks, err := schedulerOf(s).Status(ctx, cluster.Exec, s.IDs)
		if err != nil {
			return nil, err
		}
		out = append(out, tasks...)
	}
	return out, nil
}

// anyAlive reports whether a worker runs or waits.
func anyAlive(tasks []cluster.Task) bool {
	for _, t := range tasks {
		if t.State == cluster.Running || t.State == cluster.Waiting {
			return true
		}
	}
	return false
}

// progress follows the journals of a study's workers.
type progress struct {
	dir     string
	tail    *store.Tail
	made    map[store.RunKey]bool
	planned int // 0 before the first worker has begun
}

func newProgress(dir string) *progress {
	return &progress{dir: dir, tail: store.NewTail(dir), made: map[store.RunKey]bool{}}
}

// look reads what is new. A folder that no worker has begun has no journals.
func (p *progress) look() error {
	if p.planned == 0 {
		s, _, err := store.ReadFrozen(p.dir)
		if err != nil {
			return nil
		}
		p.planned = len(s.Experiments) * s.Execution.Cycles
	}
	entries, err := p.tail.Next()
	for _, e := range entries {
		p.made[store.RunKey{ID: e.ID, Cycle: e.Cycle}] = true
	}
	p.planned = max(p.planned, len(p.made)) // a goal of precision may ask for more cycles
	return err
}

// statusText returns the progress and the workers in a few lines.
func statusText(tasks []cluster.Task, made, planned int, all bool) string {
	var b strings.Builder
	if planned == 0 {
		b.WriteString("no worker has begun yet")
	} else {
		fmt.Fprintf(&b, "%d of %s", made, digits.Count(planned, "run"))
	}
	states := map[string]int{}
	for _, t := range tasks {
		states[t.State]++
	}
	for _, state := range []string{cluster.Running, cluster.Waiting, cluster.Ended, cluster.Broken} {
		if states[state] > 0 {
			fmt.Fprintf(&b, " · %s %s", digits.Count(states[state], "worker"), state)
		}
	}
	b.WriteString("\n")
	if !all {
		return b.String()
	}
	for _, t := range tasks {
		line := fmt.Sprintf("  %s  %s", t.ID, t.State)
		if t.Node != "" {
			line += "  on " + t.Node
		}
		if t.Reason != "" {
			line += "  (" + t.Reason + ")"
		}
		fmt.Fprintln(&b, line)
	}
	return b.String()
}
