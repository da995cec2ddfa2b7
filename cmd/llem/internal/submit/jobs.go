package submit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/cmd/llem/internal/crew"
	"github.com/llenergymeasure/llem/cmd/llem/internal/live"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/announce"
	"github.com/llenergymeasure/llem/internal/cluster"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/running"
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
	p := &progress{dir: j.dir}
	show, end := func(text string) { fmt.Fprint(c.Out, text) }, func() {}
	if watch && c.Terminal != nil {
		view := live.New(c.Terminal, live.Options{Terminal: true, Color: c.Color, Style: c.Style, Watch: true})
		p.observe, end = view.Observe, view.Close
		show = func(text string) { view.Say(strings.TrimSuffix(text, "\n")) }
	}
	alive, err := c.followJobs(ctx, j, p, show, watch)
	end()
	switch {
	case ctx.Err() != nil:
		return c.leftAlone(j)
	case err != nil:
		return err
	}
	c.afterwards(j, p.made, p.planned, alive)
	return nil
}

// followJobs shows the workers and the progress, again and again if they are watched. It reports whether one is left.
func (c *Command) followJobs(ctx context.Context, j jobs, p *progress, show func(string), watch bool) (bool, error) {
	for last := ""; ; {
		tasks, err := tasksOf(ctx, j.list)
		if err == nil {
			err = p.look()
		}
		if err != nil {
			return false, err
		}
		text := p.text(tasks, !watch)
		if p.observe != nil { // the view has the runs
			text = statesText(tasks)
		}
		if text != last && text != "" {
			show(text)
			last = text
		}
		alive := anyAlive(tasks)
		if !watch || !alive {
			return alive, nil
		}
		if err := clock.Sleep(ctx, watchEvery); err != nil {
			return alive, err
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

// progress follows what a study's workers have finished.
type progress struct {
	dir           string
	all           *announce.Follower // nil before the first worker has begun
	made, planned int
	// observe takes the events of the study, if they are shown.
	observe func(event.Event)
}

// look reads what is new. A folder that no worker has begun has no journals.
func (p *progress) look() error {
	if p.all == nil {
		all, err := announce.Follow(p.dir)
		if err != nil {
			return nil //nolint:nilerr // no worker has begun yet, or the folder cannot be seen here
		}
		opening, err := all.Opening()
		if err != nil {
			return err
		}
		p.all, p.made, p.planned = all, len(opening.Made), opening.Runs
		if p.observe != nil {
			p.observe(opening)
		}
		return nil
	}
	news, err := p.all.Next()
	for _, r := range news {
		p.made, p.planned = r.Index, r.Total
		if p.observe != nil {
			p.observe(r)
		}
	}
	return err
}

// text returns the progress and the workers in a few lines, with what each does.
func (p *progress) text(tasks []cluster.Task, all bool) string {
	text := "no worker has begun yet"
	if p.planned > 0 {
		text = fmt.Sprintf("%d of %s", p.made, digits.Count(p.planned, "run"))
	}
	if states := strings.TrimSuffix(statesText(tasks), "\n"); states != "" {
		text += separator + states
	}
	text += "\n"
	if !all {
		return text
	}
	for _, t := range tasks {
		line := fmt.Sprintf("  %s  %s", t.ID, t.State)
		if t.Node != "" {
			line += "  on " + t.Node
		}
		if t.Reason != "" {
			line += "  (" + t.Reason + ")"
		}
		text += line + "\n"
	}
	return text + p.working()
}

// mostWorking is how many workers are shown with their work.
const mostWorking = 16

// working lists what the workers do, from the files of their states.
func (p *progress) working() string {
	states, err := running.Read(os.DirFS(p.dir))
	if err != nil {
		return ""
	}
	states = slices.DeleteFunc(states, func(s running.State) bool { return s.Worker == "" })
	var b strings.Builder
	for _, line := range crew.Now(states, 80-2, mostWorking) {
		fmt.Fprintln(&b, "  "+line)
	}
	return b.String()
}

// separator stands between facts.
const separator = " · "

// statesText counts the workers by their states, in a line.
func statesText(tasks []cluster.Task) string {
	states := map[string]int{}
	var parts []string
	for _, t := range tasks {
		states[t.State]++
	}
	for _, state := range []string{cluster.Running, cluster.Waiting, cluster.Ended, cluster.Broken} {
		if states[state] > 0 {
			parts = append(parts, digits.Count(states[state], "worker")+" "+state)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, separator) + "\n"
}
