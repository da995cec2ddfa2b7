package submit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/cluster"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/study"
)

// queue is a scheduler with a site's settings: it prints what it would submit, and submits it.
type queue interface {
	print(j *cluster.Job) (string, error)
	submit(ctx context.Context, j *cluster.Job) (cluster.Submission, error)
}

// site are the settings of clusters in the user's own file.
type site struct {
	slurm      cluster.Slurm
	kubernetes cluster.Kubernetes
	// limits and programs are by scheduler.
	limits   map[string]time.Duration
	programs map[string]string
}

// siteOf reads the settings of clusters.
func siteOf(o study.Options) (*site, error) {
	origins, err := study.Machine(o)
	if err != nil {
		return nil, err
	}
	s := &site{limits: map[string]time.Duration{}, programs: map[string]string{}}
	for _, v := range origins {
		if err := s.take(v.Key, v.Value); err != nil {
			return nil, &UsageError{fmt.Sprintf("%s: %v", v.From, err), "correct " + v.Key}
		}
	}
	return s, nil
}

// take takes one setting; other keys are not of clusters.
func (s *site) take(key, value string) error {
	if value == "" {
		return nil
	}
	section, name, _ := strings.Cut(key, ".")
	if section != cluster.OnSlurm && section != cluster.OnKubernetes {
		return nil
	}
	switch name {
	case "time":
		d, err := time.ParseDuration(value)
		s.limits[section] = d
		return err
	case "program":
		s.programs[section] = value
		return nil
	}
	texts := map[string]*string{
		"slurm.partition": &s.slurm.Partition, "slurm.account": &s.slurm.Account, "slurm.qos": &s.slurm.QOS,
		"slurm.constraint": &s.slurm.Constraint, "slurm.gres": &s.slurm.GRES, "slurm.options": &s.slurm.Options,
		"slurm.setup": &s.slurm.Setup, "slurm.container": &s.slurm.Container, "slurm.image": &s.slurm.Image,
		"kubernetes.namespace": &s.kubernetes.Namespace, "kubernetes.image": &s.kubernetes.Image,
		"kubernetes.claim": &s.kubernetes.Claim, "kubernetes.mount": &s.kubernetes.Mount,
		"kubernetes.queue": &s.kubernetes.Queue, "kubernetes.gpu": &s.kubernetes.GPU,
		"kubernetes.cpu": &s.kubernetes.CPU, "kubernetes.memory": &s.kubernetes.Memory,
		"kubernetes.node_selector": &s.kubernetes.NodeSelector,
	}
	switches := map[string]*bool{"slurm.shared": &s.slurm.Shared, "kubernetes.rapl": &s.kubernetes.RAPL}
	switch {
	case texts[key] != nil:
		*texts[key] = value
	case switches[key] != nil:
		*switches[key] = value == "true"
	default:
		return errors.New("unknown setting of a cluster")
	}
	return nil
}

// slurmQueue and kubernetesQueue are the schedulers.
type (
	slurmQueue      struct{ cluster.Slurm }
	kubernetesQueue struct {
		cluster.Kubernetes
		text string
	}
)

// queue returns the scheduler.
func (s *site) queue(on string, j *cluster.Job, path string) (queue, error) {
	if on == cluster.OnSlurm {
		if err := s.slurm.Check(); err != nil {
			return nil, &UsageError{err.Error(), "correct it in " + ownFileHint}
		}
		return &slurmQueue{s.slurm}, nil
	}
	q := &kubernetesQueue{Kubernetes: s.kubernetes}
	if path != "" {
		data, err := disk.ReadFile(path, disk.MaxSmall)
		if err != nil {
			return nil, err
		}
		q.text = string(data)
	}
	if err := q.Check(j); err != nil {
		return nil, &UsageError{err.Error(), "correct it in " + ownFileHint}
	}
	return q, nil
}

// ownFileHint names the file with the settings of a site.
const ownFileHint = "~/.config/llem/config.yaml (docs/submit.md)"

func (q *slurmQueue) print(j *cluster.Job) (string, error) {
	var scripts []string
	parts := q.Parts(j)
	for i, p := range parts {
		script := q.Script(j, p)
		if len(parts) > 1 {
			script = fmt.Sprintf("### script %d of %d\n%s", i+1, len(parts), script)
		}
		scripts = append(scripts, script)
	}
	return strings.Join(scripts, "\n"), nil
}

func (q *slurmQueue) submit(ctx context.Context, j *cluster.Job) (cluster.Submission, error) {
	if err := q.Ask(ctx, cluster.Exec); err != nil {
		return cluster.Submission{}, err
	}
	ids, err := q.Submit(ctx, cluster.Exec, j)
	return cluster.Submission{On: cluster.OnSlurm, IDs: ids}, err
}

func (q *kubernetesQueue) print(j *cluster.Job) (string, error) { return q.Manifests(j, q.text) }

func (q *kubernetesQueue) submit(ctx context.Context, j *cluster.Job) (cluster.Submission, error) {
	ids, err := q.Submit(ctx, cluster.Exec, j, q.text)
	return cluster.Submission{On: cluster.OnKubernetes, IDs: ids, Namespace: q.Namespace}, err
}
