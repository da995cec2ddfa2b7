package cluster

import (
	"fmt"
	"strings"
	"time"
)

// Containers that a worker can run in under Slurm.
const (
	Pyxis     = "pyxis"
	Apptainer = "apptainer"
)

// Slurm is how a site wants its jobs: the section slurm of a user's own file.
type Slurm struct {
	// Partition, Account, QOS and Constraint are options of sbatch of the same names; empty leaves them out.
	Partition, Account, QOS, Constraint string
	// GRES asks for GPUs, such as gpu:h100:1; empty asks for as many of any kind as a run needs.
	GRES string
	// Options are further options of sbatch, separated by blanks.
	Options string
	// Setup is a line of shell that runs before the worker, such as "module load cuda".
	Setup string
	// Shared lets other jobs run on the node: the energy of its processor and memory is then theirs, too.
	Shared bool
	// Container is how workers are put into a container, and Image what they run in; empty for neither.
	Container, Image string
	// MaxArray is the site's limit MaxArraySize; 0 takes Slurm's default.
	MaxArray int
}

// usualMaxArray is Slurm's default of MaxArraySize.
const usualMaxArray = 1001

// Part is one job array: Tasks workers, of which Width run at a time.
type Part struct{ Tasks, Width int }

// Parts splits the workers of a job into arrays that the site's limit allows.
func (s *Slurm) Parts(j *Job) []Part {
	most := s.MaxArray - 1
	if s.MaxArray == 0 {
		most = usualMaxArray - 1
	}
	most = max(most, 1)
	waves := min(j.Waves(), most)
	width := max(1, most/waves)
	var out []Part
	for left := j.Workers; left > 0; left -= width {
		n := min(width, left)
		out = append(out, Part{n * waves, n})
	}
	return out
}

// Check refuses settings that contradict one another.
func (s *Slurm) Check() error {
	switch {
	case s.Container != "" && s.Image == "":
		return fmt.Errorf("slurm.container is %s, but slurm.image is not set", s.Container)
	case s.Container == "" && s.Image != "":
		return fmt.Errorf("slurm.image is set, but slurm.container is not: use %s or %s", Pyxis, Apptainer)
	}
	return nil
}

// Script returns the batch script of one part of a job.
func (s *Slurm) Script(j *Job, p Part) string {
	var b strings.Builder
	b.WriteString("#!/bin/bash\n")
	for _, option := range s.options(j, p) {
		fmt.Fprintf(&b, "#SBATCH %s\n", option)
	}
	b.WriteString("\n# A worker takes runs from the folder of the study until none is left. Any number of workers " +
		"may start or\n" +
		"# end at any time: what a lost one had in hand is measured again by another.\n")
	if s.Setup != "" {
		fmt.Fprintln(&b, s.Setup)
	}
	b.WriteString(`export TMPDIR="${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"` + "\n")
	fmt.Fprintf(&b, "exec %s\n", s.command(j))
	return b.String()
}

// workerName is the shell's expression for the name of a worker: a task that Slurm starts again is another worker.
const workerName = `slurm-${SLURM_ARRAY_JOB_ID}-${SLURM_ARRAY_TASK_ID}-${SLURM_RESTART_COUNT:-0}`

// options returns the options of sbatch.
func (s *Slurm) options(j *Job, p Part) []string {
	out := []string{"--job-name=" + quote("llem-"+j.Name)}
	option := func(name, value string) {
		if value != "" {
			out = append(out, "--"+name+"="+quote(value))
		}
	}
	out = append(out, fmt.Sprintf("--array=0-%d%%%d", p.Tasks-1, p.Width))
	option("partition", s.Partition)
	option("account", s.Account)
	option("qos", s.QOS)
	option("constraint", s.Constraint)
	gres := s.GRES
	if gres == "" && j.GPUs > 0 {
		gres = fmt.Sprintf("gpu:%d", j.GPUs)
	}
	out = append(out, "--nodes=1", "--ntasks=1")
	option("gres", gres)
	if !s.Shared {
		// A node's processor and memory sensors count all that runs on it.
		out = append(out, "--exclusive", "--mem=0")
	}
	if j.Limit > 0 {
		option("time", clockTime(j.Limit))
		out = append(out, "--signal="+s.signal())
	}
	out = append(out, "--requeue", "--open-mode=append")
	// Slurm replaces %A and %a; a percent sign of the folder is doubled.
	option("output", strings.ReplaceAll(LogDir(j.Dir), "%", "%%")+"/%A_%a.out")
	if s.Options != "" {
		out = append(out, s.Options)
	}
	return out
}

// signal is how Slurm asks a worker to end before its time is over. Slurm may send it up to a minute early. "B:"
// sends it to the script, which the worker has replaced; a worker in a step of srun is not in the script.
func (s *Slurm) signal() string {
	to := "B:"
	if s.Container == Pyxis {
		to = ""
	}
	return fmt.Sprintf("%sINT@%d", to, int(grace.Seconds()))
}

// command returns the shell's words that start a worker.
func (s *Slurm) command(j *Job) string {
	const placeholder = "WORKER"
	words := j.Command(placeholder)
	line := strings.Replace(quoted(words), "--worker="+placeholder, `--worker="`+workerName+`"`, 1)
	switch s.Container {
	case Pyxis:
		return fmt.Sprintf("srun --container-image=%s --container-mounts=%s %s", quote(s.Image),
			quote(strings.Join(mounts(j), ",")), line)
	case Apptainer:
		gpu := ""
		if j.GPUs > 0 || s.GRES != "" {
			gpu = "--nv "
		}
		return fmt.Sprintf("apptainer exec %s--bind %s %s %s", gpu, quote(strings.Join(mounts(j), ",")),
			quote(s.Image), line)
	}
	return line
}

// mounts lists what a container sees of the node: the folder for results, and the folder of the study file.
func mounts(j *Job) []string {
	var out []string
	for _, dir := range []string{parent(j.Dir), parent(j.Study)} {
		if dir != "" && (len(out) == 0 || out[0] != dir+":"+dir) {
			out = append(out, dir+":"+dir)
		}
	}
	return out
}

// clockTime writes a duration as Slurm reads it: days-hours:minutes:seconds.
func clockTime(d time.Duration) string {
	s := int(d.Seconds())
	text := fmt.Sprintf("%02d:%02d:%02d", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		text = fmt.Sprintf("%d-%s", days, text)
	}
	return text
}
