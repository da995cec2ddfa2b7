// Package submit spreads a study over a cluster: it prints or submits the jobs whose workers share its runs, and
// shows and cancels them.
package submit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/cluster"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/study"
)

// Command is where the command writes.
type Command struct {
	// Out has the script, or the folder of the study; Err has what else a person needs to know.
	Out, Err io.Writer
	// Terminal is where a view can be kept up to date, with Color and Style; nil if there is no such terminal.
	Terminal io.Writer
	Color    bool
	// Style is the set of characters of the terminal.
	Style chart.Style
	// Width is the width of the terminal; 0 if there is none.
	Width int
	// Getenv reads the environment.
	Getenv func(string) string
}

// Flags are the flags of the command that do not set keys of the study.
type Flags struct {
	// On is the scheduler.
	On string
	// Output is the folder for results, and Dir the folder of a study that gets more workers.
	Output, Dir string
	// GPU is the GPU to estimate for.
	GPU string
	// Workers is how many run at a time; 0 takes the default. GPUs is how many each has; negative takes what the study
	// needs.
	Workers, GPUs int
	// Limit is the time limit of a job; 0 takes the site's.
	Limit time.Duration
	// Mixed and Estimate are passed to the workers.
	Mixed, Estimate bool
	// Now submits, and Watch follows the study.
	Now, Watch bool
	// Status and Cancel are the folder of a study whose jobs are shown or cancelled.
	Status, Cancel string
}

// UsageError is a mistake on the command line or in the settings.
type UsageError struct{ msg, next string }

// Error returns what is wrong.
func (e *UsageError) Error() string { return e.msg }

// NextStep returns how to correct it.
func (e *UsageError) NextStep() string { return e.next }

// IsUsage marks it as a mistake of the user.
func (e *UsageError) IsUsage() {}

// UsualWorkers is how many workers are submitted if nobody says.
const UsualWorkers = 4

// Run does what one command line asks for: o is its study.
func (c *Command) Run(ctx context.Context, o study.Options, f Flags) error {
	switch {
	case f.Status != "" && f.Cancel != "":
		return &UsageError{"--status and --cancel exclude one another", "leave one out"}
	case f.Status != "" || f.Cancel != "":
		if o.Path != "" || len(o.Settings) > 0 || f.Now {
			return &UsageError{"--status and --cancel take the folder of a study and nothing else",
				"for example: llem submit --status results/STUDY"}
		}
		jobs, err := c.jobsOf(cmp.Or(f.Status, f.Cancel), f.On)
		if err != nil {
			return err
		}
		if f.Cancel != "" {
			return c.cancelJobs(ctx, jobs)
		}
		return c.jobStatus(ctx, jobs, f.Watch)
	case f.On == "":
		return &UsageError{"--on is missing",
			"name the scheduler: --on " + strings.Join(cluster.Schedulers(), " or --on ")}
	case !slices.Contains(cluster.Schedulers(), f.On):
		return &UsageError{fmt.Sprintf("--on %s is not a scheduler", f.On),
			"use " + strings.Join(cluster.Schedulers(), " or ")}
	case f.Workers < 0:
		return &UsageError{fmt.Sprintf("--workers is %d", f.Workers), "give a number of workers, or leave it out"}
	case f.GPUs < -1:
		return &UsageError{fmt.Sprintf("--gpus is %d", f.GPUs), "give a number of GPUs, or leave it out"}
	case f.Watch && !f.Now:
		return &UsageError{"--watch needs --now or --status", "add --now to submit, or leave --watch out"}
	}
	s, err := f.study(o)
	if err != nil {
		return err
	}
	site, err := siteOf(o)
	if err != nil {
		return err
	}
	j, cost, err := c.job(ctx, s, o, f, site)
	if err != nil {
		return err
	}
	if err := j.Check(); err != nil {
		return &UsageError{err.Error(), "see `llem submit --help`"}
	}
	var q queue
	if q, err = site.queue(f.On, j, o.Path); err != nil {
		return err
	}
	if !f.Now {
		return c.printJob(q, j, cost, f)
	}
	return c.submitNow(ctx, q, j, cost, f)
}

// study loads the study that workers execute. More workers of one that has begun need not name it: its folder has it.
func (f Flags) study(o study.Options) (*study.Study, error) {
	if f.Dir != "" && f.On == cluster.OnSlurm {
		if why := disk.NoFolder(f.Dir); why != "" {
			return nil, &UsageError{why,
				"give the folder that `llem submit --now` printed; leave --resume out to begin a study"}
		}
	}
	if !f.begun(o) {
		return study.Load(o)
	}
	return campaign.Frozen(f.Dir, nil)
}

// begun reports whether the study is in its folder, and nowhere else.
func (f Flags) begun(o study.Options) bool {
	return f.Dir != "" && o.Path == "" && len(o.Settings) == 0
}

// cost is what the plan says of a study.
type cost struct {
	Totals *struct {
		Seconds  float64    `json:"seconds"`
		Range    [2]float64 `json:"seconds_range"`
		KWh      float64    `json:"kwh"`
		KWhRange [2]float64 `json:"kwh_range"`
		Cost     *float64   `json:"cost"`
		Currency string     `json:"currency"`
		Basis    string     `json:"basis"`
	} `json:"totals"`
	Missing string `json:"totals_missing"`
	Runs    int    `json:"runs"`
	Canary  struct {
		KWh  float64 `json:"kwh"`
		Cost float64 `json:"cost"`
	} `json:"canary"`
	Shown []struct {
		Need *struct {
			Devices int        `json:"devices"`
			Range   [2]float64 `json:"seconds_range"`
		} `json:"need"`
	} `json:"shown"`
}

// job returns what a scheduler is asked for, and what the study costs. The plan is made for the machine that submits,
// or for the GPU that is named; whether the nodes can run it, each worker finds out.
func (c *Command) job(ctx context.Context, s *study.Study, o study.Options, f Flags, site *site) (*cluster.Job, *cost,
	error) {
	preview, err := llem.DryRun(ctx, s, llem.DryRunOptions{GPU: f.GPU})
	if err != nil {
		return nil, nil, err
	}
	document, err := json.Marshal(preview)
	if err != nil {
		return nil, nil, err
	}
	var out cost
	if err := json.Unmarshal(document, &out); err != nil {
		return nil, nil, err
	}
	j := &cluster.Job{Name: campaign.NameOf(s), Runs: out.Runs, Workers: f.Workers, Limit: f.Limit,
		Program: site.programs[f.On], Begun: f.begun(o),
		Canary: s.Execution.Canary != terms.CanaryNever}
	if j.Workers == 0 {
		j.Workers = UsualWorkers
	}
	j.Workers = min(j.Workers, max(1, out.Runs))
	if j.Limit == 0 {
		j.Limit = site.limits[f.On]
	}
	j.Args = settingArgs(o, f)
	if o.Path != "" {
		if j.Study, err = filepath.Abs(o.Path); err != nil {
			return nil, nil, err
		}
	}
	if out.Totals != nil {
		j.Seconds = out.Totals.Range
	}
	for _, p := range out.Shown {
		if p.Need != nil {
			j.GPUs, j.Longest = max(j.GPUs, p.Need.Devices), max(j.Longest, p.Need.Range[0])
		}
	}
	if !machine.NeedsOf(s).GPU {
		j.GPUs = 0
	}
	if f.GPUs >= 0 {
		j.GPUs = f.GPUs
	}
	return j, &out, c.places(j, f, site.slurm.Container != "")
}

// places sets the folder of the study and the program of the workers: this one, unless they are in a container.
func (c *Command) places(j *cluster.Job, f Flags, contained bool) (err error) {
	if j.Program == "" {
		j.Program = "llem"
		if f.On == cluster.OnSlurm && !contained {
			if j.Program, err = os.Executable(); err != nil {
				return err
			}
		}
	}
	dir := f.Dir
	if dir != "" {
		j.Suffix = "-" + strconv.FormatInt(time.Now().Unix(), 36)
	} else {
		results := cmp.Or(f.Output, c.Getenv("LLEM_RESULTS"), "results")
		dir = filepath.Join(results, store.FolderName(j.Name, time.Now()))
	}
	j.Dir, err = filepath.Abs(dir)
	return err
}

// settingArgs returns the flags that give workers the same settings as this command line.
func settingArgs(o study.Options, f Flags) []string {
	var out []string
	for _, s := range o.Settings {
		out = append(out, "-s", s.Key+"="+s.Value)
	}
	if f.Mixed {
		out = append(out, "--allow-mixed")
	}
	if f.Estimate {
		out = append(out, "--estimate")
	}
	return out
}

// printJob prints the script or the manifests on standard output, and the cost and the next step on standard error.
func (c *Command) printJob(q queue, j *cluster.Job, plan *cost, f Flags) error {
	text, err := q.print(j)
	if err != nil {
		return err
	}
	fmt.Fprint(c.Out, text)
	c.printCost(j, plan, f.GPU)
	by := "kubectl create -f FILE"
	if _, ok := q.(*slurmQueue); ok {
		by = "mkdir -p " + shell.Quote(cluster.LogDir(j.Dir)) + " && sbatch FILE"
	}
	fmt.Fprintf(c.Err, "nothing was submitted: add --now, or write the text to a FILE and run: %s\n", by)
	return nil
}

// printCost prints what the study costs by number of workers.
func (c *Command) printCost(j *cluster.Job, plan *cost, gpu string) {
	if plan.Totals == nil {
		fmt.Fprintf(c.Err, "\n%s; no estimate of time and energy: %s\n", digits.Count(plan.Runs, "run"),
			cmp.Or(plan.Missing, "see llem run --dry-run"))
		return
	}
	runs, kWh, money := digits.Count(plan.Runs, "run"), plan.Totals.KWh, plan.Totals.Cost
	if n := j.Canaries(j.Workers); n > 0 {
		runs += fmt.Sprintf(" and a canary run of each of %d workers", n)
		kWh += float64(n) * plan.Canary.KWh
		if money != nil {
			money = new(*money + float64(n)*plan.Canary.Cost)
		}
	}
	fmt.Fprintf(c.Err, "\n%s, about %s", runs, digits.SI(1000*kWh, "Wh"))
	if money != nil {
		fmt.Fprintf(c.Err, ", %s %s", digits.Significant(*money, 2), plan.Totals.Currency)
	}
	fmt.Fprintf(c.Err, " (modelled: %s)\n", plan.Totals.Basis)
	if gpu == "" && j.GPUs > 0 {
		fmt.Fprintln(c.Err, "  estimated for this machine; --gpu h200 estimates for the GPUs of the nodes")
	}
	t := table.Table{Head: []string{"workers", "finished after", "node hours", ""}, Text: true, Indent: 2}
	for _, w := range j.Widths() {
		mark := ""
		if w.Workers == j.Workers {
			mark = "this one"
		}
		t.Rows = append(t.Rows, []string{fmt.Sprint(w.Workers), span(w.Seconds), digits.Significant(w.NodeHours[0], 2) +
			" to " + digits.Significant(w.NodeHours[1], 2), mark})
	}
	head, rows := t.Lines(c.Width)
	fmt.Fprintln(c.Err, head)
	for _, r := range rows {
		fmt.Fprintln(c.Err, r)
	}
	if n := j.Canaries(j.Workers); n > 0 {
		fmt.Fprintf(c.Err, "  of which the canaries take about %s (execution.canary: never omits them)\n",
			digits.SI(1000*float64(n)*plan.Canary.KWh, "Wh"))
	}
}

// span formats a range of seconds.
func span(s [2]float64) string {
	return digits.Rough(digits.Duration(s[0])) + " to " + digits.Rough(digits.Duration(s[1]))
}

// submitNow submits a job and records it in the folder of the study. The folder of a study in Kubernetes need not be
// visible here: its jobs are found by their labels.
func (c *Command) submitNow(ctx context.Context, q queue, j *cluster.Job, plan *cost, f Flags) error {
	if f.On == cluster.OnSlurm {
		if err := os.MkdirAll(cluster.LogDir(j.Dir), 0o755); err != nil {
			return disk.Problem("make the folder for the jobs' output", cluster.LogDir(j.Dir), err)
		}
	}
	c.printCost(j, plan, f.GPU)
	s, err := q.submit(ctx, j)
	s.Workers, s.Time = j.Workers, time.Now().UTC()
	on := ""
	if len(s.IDs) == 0 && f.On == cluster.OnSlurm { // only folders that are empty are removed
		_ = os.Remove(cluster.LogDir(j.Dir))
		_ = os.Remove(j.Dir)
	}
	if len(s.IDs) > 0 { // what was submitted before an error must be found again
		if f.On == cluster.OnSlurm {
			err = errors.Join(err, cluster.Record(j.Dir, s))
		} else {
			on = " --on " + f.On
		}
		dir := shell.Path(j.Dir)
		fmt.Fprintf(c.Err, "submitted: %s %s\nprogress: llem submit --status %s%s\nend: llem submit --cancel %[3]s%s\n"+
			"results: llem report %[3]s\n", s.On, strings.Join(s.IDs, " "), dir, on)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Out, j.Dir)
	if f.Watch {
		return c.jobStatus(ctx, jobs{dir: j.Dir, on: f.On, list: []cluster.Submission{s}}, true)
	}
	return nil
}
