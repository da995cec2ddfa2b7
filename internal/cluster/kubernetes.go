package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Kubernetes is how a site wants its jobs: the section kubernetes of a user's own file.
type Kubernetes struct {
	// Namespace of the job; empty takes the one of kubectl.
	Namespace string
	// Image holds llem and the engine.
	Image string
	// Claim is the PersistentVolumeClaim for the folder of the study, mounted at Mount. It must allow several nodes to
	// write (ReadWriteMany).
	Claim, Mount string
	// Queue is the LocalQueue of Kueue; empty for none.
	Queue string
	// GPU is the name of the resource that a GPU is.
	GPU string
	// CPU and Memory are what a worker asks for; empty leaves them out.
	CPU, Memory string
	// NodeSelector selects nodes: NAME=VALUE pairs separated by commas.
	NodeSelector string
	// RAPL mounts the energy counters of the processor, read-only.
	RAPL bool
}

// Usual values of a site's settings.
const (
	UsualMount = "/results"
	UsualGPU   = "nvidia.com/gpu"
)

// Check refuses settings that no cluster could accept.
func (k *Kubernetes) Check(j *Job) error {
	switch {
	case k.Image == "":
		return errors.New("kubernetes.image is not set: it names the image that holds llem and the engine")
	case k.Claim == "":
		return errors.New("kubernetes.claim is not set: it names the PersistentVolumeClaim for the results, " +
			"which all nodes can write")
	case !strings.HasPrefix(j.Dir, path.Clean(k.mount())+"/"):
		return fmt.Errorf("the folder %s is not below %s, where the claim %s is mounted", j.Dir, k.mount(), k.Claim)
	}
	_, err := k.selector()
	return err
}

// selector returns the pairs of NodeSelector.
func (k *Kubernetes) selector() (map[string]string, error) {
	if k.NodeSelector == "" {
		return nil, nil
	}
	out := map[string]string{}
	for pair := range strings.SplitSeq(k.NodeSelector, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("kubernetes.node_selector: %q is not NAME=VALUE", pair)
		}
		out[name] = value
	}
	return out, nil
}

func (k *Kubernetes) mount() string {
	if k.Mount == "" {
		return UsualMount
	}
	return k.Mount
}

// notInNames matches what a name in Kubernetes must not contain.
var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// JobName returns the name of the Job of a study, made of the name of its folder, which is unique.
func JobName(dir string) string {
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(path.Base(dir)), "-"), "-")
	// A pod's name adds a suffix, an index and five characters to it, and a label has 63 characters.
	if len(name) > 36 {
		name = name[len(name)-36:]
	}
	return "llem-" + strings.Trim(name, "-")
}

// Where the study file is in a pod, and its name in the ConfigMap.
const (
	studyMount = "/study"
	studyKey   = "study.yaml"
)

// Manifests returns the manifests of a job as YAML. text is the study file; empty if the job has none.
func (k *Kubernetes) Manifests(j *Job, text string) (string, error) {
	selector, err := k.selector()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	meta := objectMeta{Name: JobName(j.Dir) + j.Suffix, Namespace: k.Namespace, Labels: labels(j.Dir)}
	var docs []any
	if text != "" {
		docs = append(docs, configMap{"v1", "ConfigMap", meta, map[string]string{studyKey: text}})
	}
	docs = append(docs, k.job(j, meta, selector, text != ""))
	for _, d := range docs {
		if err := e.Encode(d); err != nil {
			return "", err
		}
	}
	if err := e.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// Labels of what is created: of this program, and of a study. All jobs of a study have its label.
const (
	nameLabel  = "app.kubernetes.io/name"
	program    = "llem"
	studyLabel = "llem/study"
)

// labels returns the labels of the study in a folder.
func labels(dir string) map[string]string {
	return map[string]string{nameLabel: program, studyLabel: JobName(dir)}
}

// exitUsage is the exit code of a worker that would be refused again: by the study file, or by the machine.
const exitUsage = 2

// job returns the Indexed Job. A lost node does not count as a failure, and a worker that is refused is not started
// again. Workers need no access to Kubernetes: no account is mounted, and no rights are needed.
func (k *Kubernetes) job(j *Job, meta objectMeta, selector map[string]string, hasStudy bool) jobObject {
	if k.Queue != "" {
		meta.Labels = labels(j.Dir)
		meta.Labels["kueue.x-k8s.io/queue-name"] = k.Queue
	}
	tasks := j.Workers * j.Waves()
	spec := jobSpec{CompletionMode: "Indexed", Completions: tasks, Parallelism: min(j.Workers, tasks),
		BackoffLimitPerIndex: 3, MaxFailedIndexes: tasks, Suspend: k.Queue != "",
		PodReplacementPolicy: "Failed",
		PodFailurePolicy: podFailurePolicy{Rules: []podFailureRule{
			{Action: "Ignore", OnPodConditions: []podCondition{{"DisruptionTarget", "True"}}},
			{Action: "FailIndex", OnExitCodes: &exitCodes{"worker", "In", []int{exitUsage}}}}}}
	spec.Template.Metadata.Labels = labels(j.Dir)
	spec.Template.Spec = k.pod(j, meta.Name, selector, hasStudy)
	return jobObject{"batch/v1", "Job", meta, spec}
}

// pod returns the worker: one on each node, because the sensors of a processor count all that runs on it.
func (k *Kubernetes) pod(j *Job, name string, selector map[string]string, hasStudy bool) podSpec {
	inPod := *j
	if hasStudy {
		inPod.Study = studyMount + "/" + studyKey
	}
	resources := map[string]string{}
	if j.GPUs > 0 {
		gpu := k.GPU
		if gpu == "" {
			gpu = UsualGPU
		}
		resources[gpu] = fmt.Sprint(j.GPUs)
	}
	if k.CPU != "" {
		resources["cpu"] = k.CPU
	}
	if k.Memory != "" {
		resources["memory"] = k.Memory
	}
	c := container{Name: "worker", Image: k.Image, Command: inPod.Command("$(WORKER)"),
		Env: []envVar{{"WORKER", envSource{fieldRef{"metadata.name"}}},
			{"LLEM_NODE", envSource{fieldRef{"spec.nodeName"}}}},
		Resources: resourceNeeds{resources, resources},
		Security:  securityContext{Capabilities: capabilities{Drop: []string{"ALL"}}},
		Mounts:    []volumeMount{{Name: "results", Path: k.mount()}, {Name: "shm", Path: "/dev/shm"}}}
	p := podSpec{RestartPolicy: "Never", TerminationGracePeriod: int(grace.Seconds()), NodeSelector: selector,
		// No name of a service is wanted in the environment, and no account.
		Volumes: []volume{{Name: "results", Claim: &claimSource{k.Claim}}, {Name: "shm", Empty: &emptyDir{"Memory"}}}}
	if j.Limit > 0 {
		p.ActiveDeadline = int(j.Limit.Seconds())
	}
	p.Affinity.PodAntiAffinity.Required = []affinityTerm{{"kubernetes.io/hostname",
		labelSelector{map[string]string{nameLabel: program}}}}
	if hasStudy {
		c.Mounts = append(c.Mounts, volumeMount{Name: "study", Path: studyMount, ReadOnly: true})
		p.Volumes = append(p.Volumes, volume{Name: "study", Config: &configSource{name}})
	}
	if k.RAPL {
		// /sys/class/powercap has links into /sys/devices.
		for _, m := range []struct{ name, path string }{{"powercap", "/sys/class/powercap"},
			{"powercap-devices", "/sys/devices/virtual/powercap"}} {
			c.Mounts = append(c.Mounts, volumeMount{Name: m.name, Path: m.path, ReadOnly: true})
			p.Volumes = append(p.Volumes, volume{Name: m.name, Host: &hostPath{m.path, "Directory"}})
		}
	}
	p.Containers = []container{c}
	return p
}
