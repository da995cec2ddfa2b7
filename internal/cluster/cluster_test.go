package cluster

import (
	"context"
	"errors"
	"flag"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// example is a job of a study with odd names.
func example() *Job {
	return &Job{Name: "batch size", Dir: "/shared/my results/batch-20261129T120000Z", Study: "/home/a/it's.yaml",
		Args: []string{"-s", "execution.cycles=3", "-s", "sweep.where=batch < 8"}, Program: "/opt/llem/bin/llem",
		Workers: 4, Runs: 40, GPUs: 1, Seconds: [2]float64{3600, 7200}, Longest: 120, Limit: 4 * time.Hour}
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s differs (%v); go test -update writes it:\n%s", path, err, got)
	}
}

// TestScripts: testdata has the scripts, and a shell can read them.
func TestScripts(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Slurm{
		"plain.sh": {},
		"site.sh": {Partition: "gpu", Account: "abc", QOS: "normal", Constraint: "h100&nvlink", GRES: "gpu:h100:4",
			Options: "--mail-type=END", Setup: "module load cuda; module load llem", Shared: true},
		"pyxis.sh":     {Container: Pyxis, Image: "docker://x/llem:1"},
		"apptainer.sh": {Container: Apptainer, Image: "/images/llem.sif"},
	} {
		j := example()
		script := s.Script(j, s.Parts(j)[0])
		golden(t, name, script)
		c := exec.Command("bash", "-n")
		c.Stdin = strings.NewReader(script)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// TestWords: a shell passes each word of a command as it is, whatever is in it.
func TestWords(t *testing.T) {
	t.Parallel()
	words := []string{"a b", "it's", `"$HOME"`, "$(touch x)", "`id`", "*", "", "ä<script>", `\`, "a;b", "#x", "~", "!"}
	out, err := exec.Command("sh", "-c", "printf '%s\\n' "+quoted(words)).Output()
	if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); err != nil || !slices.Equal(got, words) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestManifests: testdata has the manifests; testdata/kubernetes checks them against the types of the API.
func TestManifests(t *testing.T) {
	t.Parallel()
	j := example()
	j.Dir = "/results/Batch_1-20261129T120000Z"
	site := map[string]Kubernetes{
		"plain.yaml": {Image: "registry/llem:1", Claim: "results"},
		"site.yaml": {Image: "registry/llem:1", Claim: "results", Namespace: "ml", Queue: "gpus", CPU: "16",
			Memory: "64Gi", NodeSelector: "gpu=h100,zone=a", RAPL: true, GPU: "nvidia.com/mig-1g.10gb"},
	}
	for name, k := range site {
		if err := k.Check(j); err != nil {
			t.Error(err)
		}
		text, err := k.Manifests(j, "model: random:tiny-llama\nname: \"---\"\n")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, text)
	}
}

// TestRefused: each job and setting that could not run is refused with its reason.
func TestRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Job){
		"no worker":        func(j *Job) { j.Workers = 0 },
		"not absolute":     func(j *Job) { j.Dir = "results/x" },
		"leaves no time":   func(j *Job) { j.Limit = time.Minute },
		"the longest run":  func(j *Job) { j.Longest = 5 * 3600 },
		"has a control":    func(j *Job) { j.Name = "a\n#SBATCH --wrap=evil" },
		"\"x\\x00\" has a": func(j *Job) { j.Args = []string{"x\x00"} },
	} {
		j := example()
		change(j)
		if err := j.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	j := example()
	for want, k := range map[string]Kubernetes{
		"kubernetes.image":        {Claim: "c"},
		"kubernetes.claim":        {Image: "i"},
		"not below /results":      {Image: "i", Claim: "c"},
		`"gpu" is not NAME=VALUE`: {Image: "i", Claim: "c", Mount: "/shared", NodeSelector: "gpu"},
	} {
		if err := k.Check(j); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for want, s := range map[string]Slurm{"slurm.image is not set": {Container: Pyxis},
		"slurm.container is not": {Image: "x"}} {
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestParts: whatever the site's limit, the arrays have all workers and none is too long.
func TestParts(t *testing.T) {
	t.Parallel()
	for most := 1; most < 60; most++ {
		for workers := 1; workers < 70; workers += 3 {
			for _, limit := range []time.Duration{0, 10 * time.Minute, time.Hour} {
				j := example()
				j.Workers, j.Runs, j.Limit = workers, 1000, limit
				width := 0
				for _, p := range (&Slurm{MaxArray: most}).Parts(j) {
					if p.Tasks > max(1, most-1) || p.Tasks < p.Width {
						t.Fatalf("limit %d: %+v", most, p)
					}
					width += p.Width
				}
				if width != workers {
					t.Fatalf("limit %d: %d of %d workers", most, width, workers)
				}
			}
		}
	}
}

// TestWaves: a study of 2 hours on one worker with a limit of 1 hour takes several jobs one after another, and enough
// of them.
func TestWaves(t *testing.T) {
	t.Parallel()
	j := example()
	j.Workers, j.Limit = 1, time.Hour
	// Of each hour, 3 minutes and the run that may be cut, of 2 minutes, are lost: 7200 / 3300.
	if n := j.Waves(); n != 3 {
		t.Errorf("%d", n)
	}
	j.Workers = 4
	if n := j.Waves(); n != 1 {
		t.Errorf("%d", n)
	}
}

// TestWidths: more workers end sooner at the same cost, up to one for each run.
func TestWidths(t *testing.T) {
	t.Parallel()
	j := example()
	j.Workers, j.Runs = 3, 5
	var got []int
	last := j.Seconds[1] + 1000
	for _, w := range j.Widths() {
		got = append(got, w.Workers)
		if w.Seconds[1] > last || w.Seconds[0] > w.Seconds[1] {
			t.Errorf("%+v after %g s", w, last)
		}
		last = w.Seconds[1]
	}
	if !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("%v", got)
	}
	// Several workers execute a canary each, here of 24 minutes at most; one worker does not.
	without := j.Widths()
	j.Canary = true
	for i, w := range j.Widths() {
		more, each := w.Seconds[1]-without[i].Seconds[1], 1440.0
		if w.Workers == 1 {
			each = 0
		}
		hours := w.NodeHours[1] - without[i].NodeHours[1]
		if math.Abs(more-each) > 1e-6 || math.Abs(hours-each*float64(w.Workers)/3600) > 1e-6 {
			t.Errorf("%d workers: the canary takes %g s more, %g node hours", w.Workers, more, hours)
		}
	}
}

// commands answers commands of a scheduler from a table, by the first words.
func commands(t *testing.T, answers map[string]string) (Runner, *[]string) {
	t.Helper()
	said := &[]string{}
	return func(_ context.Context, input, name string, args ...string) (string, error) {
		line := strings.Join(append([]string{name}, args...), " ")
		*said = append(*said, line+"\n"+input)
		for start, answer := range answers {
			if strings.HasPrefix(line, start) {
				if what, failed := strings.CutPrefix(answer, "error: "); failed {
					return "", errors.New(what)
				}
				return answer, nil
			}
		}
		t.Errorf("unexpected: %s", line)
		return "", nil
	}, said
}

// TestSlurmCommands: what Slurm 22.05 prints is understood.
func TestSlurmCommands(t *testing.T) {
	t.Parallel()
	run, said := commands(t, map[string]string{
		"scontrol show config": "Configuration data as of 2026\nMaxArraySize            = 4\nMaxJobCount = 10000\n",
		"sbatch --parsable":    "4711;cluster\n",
		"squeue --noheader --array --jobs=1 ": "1_0|RUNNING|n1|None\n1_1|PENDING||Resources\n" +
			"1_2|COMPLETING|n2|None\n1_3|PENDING||(launch failed requeued held)\n",
		"squeue --noheader --array --jobs=2 ": "error: slurm_load_jobs error: Invalid job id specified",
		"scancel 1 2":                         "",
	})
	s, ctx := &Slurm{}, t.Context()
	if err := s.Ask(ctx, run); err != nil || s.MaxArray != 4 {
		t.Fatal(s.MaxArray, err)
	}
	ids, err := s.Submit(ctx, run, example())
	if err != nil || !slices.Equal(ids, []string{"4711", "4711"}) { // four workers, three in an array
		t.Errorf("%q, %v", ids, err)
	}
	if !strings.Contains((*said)[1], "--array=0-2%3") || !strings.Contains((*said)[2], "--array=0-0%1") {
		t.Errorf("%q", *said)
	}
	tasks, err := s.Status(ctx, run, []string{"1", "2"})
	want := []Task{{"1_0", Running, "n1", ""}, {"1_1", Waiting, "", "Resources"}, {"1_2", Running, "n2", ""},
		{"1_3", Waiting, "", "(launch failed requeued held)"}}
	if err != nil || !slices.Equal(tasks, want) {
		t.Errorf("%+v, %v", tasks, err)
	}
	if err := s.Cancel(ctx, run, []string{"1", "2"}); err != nil {
		t.Error(err)
	}
}

// TestHalfSubmitted: of two arrays the second is refused; the first is not forgotten.
func TestHalfSubmitted(t *testing.T) {
	t.Parallel()
	n := 0
	run := func(context.Context, string, string, ...string) (string, error) {
		if n++; n == 2 {
			return "", errors.New("sbatch: error: QOSMaxSubmitJobPerUserLimit")
		}
		return "7\n", nil
	}
	s := &Slurm{MaxArray: 3}
	ids, err := s.Submit(t.Context(), run, example())
	if err == nil || !strings.Contains(err.Error(), "QOSMax") || !slices.Equal(ids, []string{"7"}) {
		t.Errorf("%q, %v", ids, err)
	}
}

// TestKubernetesCommands: what kubectl prints is understood.
func TestKubernetesCommands(t *testing.T) {
	t.Parallel()
	pods := `{"items": [
	 {"metadata": {"name": "a-0-x"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}},
	 {"metadata": {"name": "a-1-x"}, "spec": {}, "status": {"phase": "Pending", "conditions": [
	   {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", 
	   "message": "0/2 nodes: Insufficient nvidia.com/gpu"}]}},
	 {"metadata": {"name": "a-2-x"}, "spec": {"nodeName": "n2"}, "status": {"phase": "Pending", "containerStatuses": [
	   {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}},
	 {"metadata": {"name": "a-3-x"}, "spec": {"nodeName": "n2"}, "status": {"phase": "Failed", "containerStatuses": [
	   {"state": {"terminated": {"reason": "Error", "exitCode": 2}}}]}}]}`
	run, said := commands(t, map[string]string{"kubectl create --validate=strict": "created",
		"kubectl get pods --selector=llem/study=llem-x": pods, "kubectl delete": ""})
	k := &Kubernetes{Namespace: "ml", Image: "i", Claim: "c"}
	j := example()
	j.Dir = "/results/x"
	ids, err := k.Submit(t.Context(), run, j, "model: a\n")
	if err != nil || !slices.Equal(ids, []string{"llem-x"}) || !strings.Contains((*said)[0], "--namespace=ml") {
		t.Errorf("%q, %v, %q", ids, err, *said)
	}
	tasks, err := k.Status(t.Context(), run, ids)
	want := []Task{{"a-0-x", Running, "n1", ""}, {"a-1-x", Waiting, "", "0/2 nodes: Insufficient nvidia.com/gpu"},
		{"a-2-x", Waiting, "n2", "ImagePullBackOff no such image"}, {"a-3-x", Broken, "n2", "Error, exit code 2"}}
	if err != nil || !slices.Equal(tasks, want) {
		t.Errorf("%+v, %v", tasks, err)
	}
	if err := k.Cancel(t.Context(), run, ids); err != nil {
		t.Error(err)
	}
}

// TestNoScheduler: without the commands of a scheduler, the message has a next step.
func TestNoScheduler(t *testing.T) {
	t.Parallel()
	_, err := Exec(t.Context(), "", "no-such-scheduler-command")
	if err == nil || !strings.Contains(err.Error(), "not in PATH") {
		t.Error(err)
	}
}

// TestRecord: submissions are found again; a cancelled one is gone.
func TestRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if list, err := Submissions(dir); err != nil || len(list) > 0 {
		t.Error(list, err)
	}
	if err := os.Mkdir(LogDir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Submission{{On: OnSlurm, IDs: []string{"1"}}, {Cancelled: true},
		{On: OnSlurm, IDs: []string{"2"}}} {
		if err := Record(dir, s); err != nil {
			t.Fatal(err)
		}
	}
	list, err := Submissions(dir)
	if err != nil || len(list) != 1 || list[0].IDs[0] != "2" {
		t.Errorf("%+v, %v", list, err)
	}
	if err := os.WriteFile(filepath.Join(LogDir(dir), recordFile), []byte("{\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Submissions(dir); err == nil || !strings.Contains(err.Error(), recordFile+":1") {
		t.Error(err)
	}
}
