package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Runner runs a command of a scheduler with a standard input, and returns its standard output. The error includes what
// the command printed on standard error.
type Runner func(ctx context.Context, input, name string, args ...string) (string, error)

// Exec is the Runner that starts programs.
func Exec(ctx context.Context, input, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	err := c.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", note.Failf(codes.ClassNotInstalled,
			"run this where the cluster's commands are, usually its login node; without --now the files are "+
				"only printed",
			"%s is not in PATH", name)
	case err != nil:
		text := strings.TrimSpace(said.String())
		if text == "" {
			text = err.Error()
		}
		return out.String(), fmt.Errorf("%s: %s", name, text)
	}
	return out.String(), nil
}

// State of a worker, in words of both schedulers.
const (
	Waiting = "waiting"
	Running = "running"
	Ended   = "ended"
	Broken  = "failed"
)

// Task is a worker as its scheduler sees it.
type Task struct {
	// ID names it to the scheduler; State is one of the states above.
	ID, State string
	// Node is where it runs, and Reason why it waits or failed; empty if unknown.
	Node, Reason string
}

// Submit submits the arrays of a job, and returns their ids. After an error the ids of what was submitted until then
// are returned with it.
func (s *Slurm) Submit(ctx context.Context, run Runner, j *Job) ([]string, error) {
	var ids []string
	for _, p := range s.Parts(j) {
		out, err := run(ctx, s.Script(j, p), "sbatch", "--parsable")
		if err != nil {
			return ids, err
		}
		// Of a federation, the name of the cluster follows.
		id, _, _ := strings.Cut(strings.TrimSpace(out), ";")
		if _, err := strconv.Atoi(id); err != nil {
			return ids, fmt.Errorf("sbatch printed %q in place of the id of a job", out)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Ask reads the limit of arrays from the cluster's configuration.
func (s *Slurm) Ask(ctx context.Context, run Runner) error {
	out, err := run(ctx, "", "scontrol", "show", "config")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(name) == "MaxArraySize" {
			s.MaxArray, err = strconv.Atoi(strings.TrimSpace(value))
			return err
		}
	}
	return nil
}

// slurmStates are the states of squeue that are not waiting for resources.
var slurmStates = map[string]string{"RUNNING": Running, "COMPLETING": Running, "SUSPENDED": Running,
	"STOPPED": Running, "SIGNALING": Running, "STAGE_OUT": Running, "COMPLETED": Ended, "CANCELLED": Ended,
	"TIMEOUT": Ended, "PREEMPTED": Waiting, "FAILED": Broken, "NODE_FAIL": Broken, "BOOT_FAIL": Broken,
	"OUT_OF_MEMORY": Broken, "DEADLINE": Broken, "LAUNCH_FAILED": Broken}

// Status lists the workers of jobs that Slurm still knows. Without a data base of accounts, Slurm forgets a job some
// minutes after its end.
func (s *Slurm) Status(ctx context.Context, run Runner, ids []string) ([]Task, error) {
	var tasks []Task
	for _, id := range ids {
		out, err := run(ctx, "", "squeue", "--noheader", "--array", "--jobs="+id, "--format=%i|%T|%N|%r")
		if err != nil && strings.Contains(err.Error(), "Invalid job id") {
			continue
		}
		if err != nil {
			return tasks, err
		}
		for line := range strings.Lines(out) {
			field := strings.SplitN(strings.TrimSpace(line), "|", 4)
			if len(field) < 4 {
				continue
			}
			state, known := slurmStates[field[1]]
			if !known {
				state = Waiting
			}
			reason := field[3]
			if reason == "None" {
				reason = ""
			}
			tasks = append(tasks, Task{field[0], state, field[2], reason})
		}
	}
	return tasks, nil
}

// Cancel ends jobs: running workers end their runs cleanly, waiting ones do not start.
func (s *Slurm) Cancel(ctx context.Context, run Runner, ids []string) error {
	_, err := run(ctx, "", "scancel", ids...)
	return err
}

// kubectl returns the arguments for the namespace.
func (k *Kubernetes) kubectl(args ...string) []string {
	if k.Namespace != "" {
		args = append(args, "--namespace="+k.Namespace)
	}
	return args
}

// Submit creates the objects of a job, and returns the label of its study.
func (k *Kubernetes) Submit(ctx context.Context, run Runner, j *Job, text string) ([]string, error) {
	manifests, err := k.Manifests(j, text)
	if err != nil {
		return nil, err
	}
	if _, err := run(ctx, manifests, "kubectl",
		k.kubectl("create", "--validate=strict", "--filename=-")...); err != nil {
		return nil, err
	}
	return []string{JobName(j.Dir)}, nil
}

// podList is what is read of the pods of a study.
type podList struct {
	Items []struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Node string `json:"nodeName"`
		} `json:"spec"`
		Status struct {
			Phase      string `json:"phase"`
			Reason     string `json:"reason"`
			Conditions []struct {
				Type, Status, Reason, Message string
			} `json:"conditions"`
			Containers []struct {
				State struct {
					Waiting    struct{ Reason, Message string }
					Terminated struct {
						Reason string
						Code   int `json:"exitCode"`
					}
				} `json:"state"`
			} `json:"containerStatuses"`
		} `json:"status"`
	} `json:"items"`
}

// Status lists the workers of jobs.
func (k *Kubernetes) Status(ctx context.Context, run Runner, ids []string) ([]Task, error) {
	var tasks []Task
	for _, id := range ids {
		out, err := run(ctx, "", "kubectl",
			k.kubectl("get", "pods", "--selector="+studyLabel+"="+id, "--output=json")...)
		if err != nil {
			return tasks, err
		}
		var list podList
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			return tasks, fmt.Errorf("kubectl get pods: %w", err)
		}
		for _, p := range list.Items {
			t := Task{ID: p.Metadata.Name, State: podStates[p.Status.Phase], Node: p.Spec.Node, Reason: p.Status.Reason}
			if t.State == "" {
				t.State = Waiting
			}
			for _, c := range p.Status.Conditions {
				if c.Type == "PodScheduled" && c.Status == "False" {
					t.Reason = c.Message
				}
			}
			for _, c := range p.Status.Containers {
				switch {
				case c.State.Waiting.Reason != "":
					t.Reason = strings.TrimSpace(c.State.Waiting.Reason + " " + c.State.Waiting.Message)
				case t.State == Broken:
					t.Reason = fmt.Sprintf("%s, exit code %d", c.State.Terminated.Reason, c.State.Terminated.Code)
				}
			}
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

// podStates are the phases of pods.
var podStates = map[string]string{"Pending": Waiting, "Running": Running, "Succeeded": Ended, "Failed": Broken,
	"Unknown": Broken}

// Cancel deletes the jobs of studies with their pods: running workers end their runs cleanly.
func (k *Kubernetes) Cancel(ctx context.Context, run Runner, ids []string) error {
	for _, id := range ids {
		_, err := run(ctx, "", "kubectl", k.kubectl("delete", "job,configmap", "--selector="+studyLabel+"="+id,
			"--ignore-not-found", "--wait=false")...)
		if err != nil {
			return err
		}
	}
	return nil
}
