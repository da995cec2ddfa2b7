package cluster

// What is used of the objects of Kubernetes, under its names. The manifests are checked against the types of
// k8s.io/api in testdata/kubernetes.

type objectMeta struct {
	Name      string            `yaml:"name,omitempty"`
	Namespace string            `yaml:"namespace,omitempty"`
	Labels    map[string]string `yaml:"labels,omitempty"`
}

type configMap struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   objectMeta        `yaml:"metadata"`
	Data       map[string]string `yaml:"data"`
}

type jobObject struct {
	APIVersion string     `yaml:"apiVersion"`
	Kind       string     `yaml:"kind"`
	Metadata   objectMeta `yaml:"metadata"`
	Spec       jobSpec    `yaml:"spec"`
}

type jobSpec struct {
	CompletionMode       string           `yaml:"completionMode"`
	Completions          int              `yaml:"completions"`
	Parallelism          int              `yaml:"parallelism"`
	BackoffLimitPerIndex int              `yaml:"backoffLimitPerIndex"`
	MaxFailedIndexes     int              `yaml:"maxFailedIndexes"`
	Suspend              bool             `yaml:"suspend,omitempty"`
	PodReplacementPolicy string           `yaml:"podReplacementPolicy"`
	PodFailurePolicy     podFailurePolicy `yaml:"podFailurePolicy"`
	Template             struct {
		Metadata objectMeta `yaml:"metadata"`
		Spec     podSpec    `yaml:"spec"`
	} `yaml:"template"`
}

type podFailurePolicy struct {
	Rules []podFailureRule `yaml:"rules"`
}

type podFailureRule struct {
	Action          string         `yaml:"action"`
	OnPodConditions []podCondition `yaml:"onPodConditions,omitempty"`
	OnExitCodes     *exitCodes     `yaml:"onExitCodes,omitempty"`
}

type podCondition struct {
	Type   string `yaml:"type"`
	Status string `yaml:"status"`
}

type exitCodes struct {
	Container string `yaml:"containerName"`
	Operator  string `yaml:"operator"`
	Values    []int  `yaml:"values,flow"`
}

type podSpec struct {
	RestartPolicy          string            `yaml:"restartPolicy"`
	ActiveDeadline         int               `yaml:"activeDeadlineSeconds,omitempty"`
	TerminationGracePeriod int               `yaml:"terminationGracePeriodSeconds"`
	AutomountToken         bool              `yaml:"automountServiceAccountToken"`
	ServiceLinks           bool              `yaml:"enableServiceLinks"`
	NodeSelector           map[string]string `yaml:"nodeSelector,omitempty"`
	Affinity               struct {
		PodAntiAffinity struct {
			Required []affinityTerm `yaml:"requiredDuringSchedulingIgnoredDuringExecution"`
		} `yaml:"podAntiAffinity"`
	} `yaml:"affinity"`
	Containers []container `yaml:"containers"`
	Volumes    []volume    `yaml:"volumes"`
}

type affinityTerm struct {
	TopologyKey   string        `yaml:"topologyKey"`
	LabelSelector labelSelector `yaml:"labelSelector"`
}

type labelSelector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type container struct {
	Name      string          `yaml:"name"`
	Image     string          `yaml:"image"`
	Command   []string        `yaml:"command"`
	Env       []envVar        `yaml:"env"`
	Resources resourceNeeds   `yaml:"resources,omitempty"`
	Security  securityContext `yaml:"securityContext"`
	Mounts    []volumeMount   `yaml:"volumeMounts"`
}

type envVar struct {
	Name      string    `yaml:"name"`
	ValueFrom envSource `yaml:"valueFrom"`
}

type envSource struct {
	FieldRef fieldRef `yaml:"fieldRef"`
}

type fieldRef struct {
	FieldPath string `yaml:"fieldPath"`
}

type resourceNeeds struct {
	Limits   map[string]string `yaml:"limits,omitempty"`
	Requests map[string]string `yaml:"requests,omitempty"`
}

type securityContext struct {
	AllowPrivilegeEscalation bool         `yaml:"allowPrivilegeEscalation"`
	Capabilities             capabilities `yaml:"capabilities"`
}

type capabilities struct {
	Drop []string `yaml:"drop,flow"`
}

type volumeMount struct {
	Name     string `yaml:"name"`
	Path     string `yaml:"mountPath"`
	ReadOnly bool   `yaml:"readOnly,omitempty"`
}

type volume struct {
	Name   string        `yaml:"name"`
	Claim  *claimSource  `yaml:"persistentVolumeClaim,omitempty"`
	Empty  *emptyDir     `yaml:"emptyDir,omitempty"`
	Config *configSource `yaml:"configMap,omitempty"`
	Host   *hostPath     `yaml:"hostPath,omitempty"`
}

type claimSource struct {
	Name string `yaml:"claimName"`
}

type emptyDir struct {
	Medium string `yaml:"medium"`
}

type configSource struct {
	Name string `yaml:"name"`
}

type hostPath struct {
	Path string `yaml:"path"`
	Type string `yaml:"type"`
}
