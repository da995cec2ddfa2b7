// Package kubernetes checks the manifests of llem against the types of the Kubernetes API. It is a module of its own,
// so that the program does not depend on them.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// TestManifests: no field of the manifests is unknown to the API, and the rules hold that a server would enforce on an
// Indexed Job.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob("../../internal/cluster/testdata/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) { check(t, path) })
	}
}

func check(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	docs := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(data)))
	defer docs.Close()
	kinds := 0
	for {
		doc := make([]byte, len(data)+1)
		n, err := docs.Read(doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		doc = doc[:n]
		switch {
		case bytes.Contains(doc, []byte("kind: ConfigMap")):
			var m core.ConfigMap
			strict(t, doc, &m)
			if !strings.Contains(m.Data["study.yaml"], "model:") {
				t.Errorf("study: %q", m.Data)
			}
		default:
			var j batch.Job
			strict(t, doc, &j)
			job(t, &j)
		}
		kinds++
	}
	if kinds != 2 {
		t.Errorf("%d documents", kinds)
	}
}

// strict refuses unknown and doubled fields, as a server does with --validate=strict.
func strict(t *testing.T, doc []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(doc, into); err != nil {
		t.Fatal(err)
	}
}

// job checks what the types do not.
func job(t *testing.T, j *batch.Job) {
	s, p := j.Spec, j.Spec.Template.Spec
	if j.Kind != "Job" || j.APIVersion != "batch/v1" || *s.CompletionMode != batch.IndexedCompletion ||
		*s.Completions < *s.Parallelism || s.BackoffLimitPerIndex == nil || s.BackoffLimit != nil {
		t.Errorf("%+v", s)
	}
	// With a policy for failures, only these two are accepted.
	if p.RestartPolicy != core.RestartPolicyNever || *s.PodReplacementPolicy != batch.Failed {
		t.Errorf("%s, %s", p.RestartPolicy, *s.PodReplacementPolicy)
	}
	for _, r := range s.PodFailurePolicy.Rules {
		if (r.OnExitCodes == nil) == (len(r.OnPodConditions) == 0) {
			t.Errorf("%+v", r)
		}
		if r.OnExitCodes != nil && *r.OnExitCodes.ContainerName != p.Containers[0].Name {
			t.Errorf("%+v", r.OnExitCodes)
		}
	}
	for name, value := range s.Template.Labels {
		if msgs := append(validation.IsQualifiedName(name), validation.IsValidLabelValue(value)...); len(msgs) > 0 {
			t.Errorf("%s=%s: %q", name, value, msgs)
		}
	}
	// A pod's host name is the job's name and its index.
	if msgs := validation.IsDNS1123Label(j.Name + "-99999"); len(msgs) > 0 {
		t.Errorf("%s: %q", j.Name, msgs)
	}
	mounted := map[string]bool{}
	for _, v := range p.Volumes {
		mounted[v.Name] = true
		if v.HostPath != nil && !strings.Contains(v.HostPath.Path, "powercap") {
			t.Errorf("a path of the host: %s", v.HostPath.Path)
		}
	}
	c := p.Containers[0]
	for _, m := range c.VolumeMounts {
		if !mounted[m.Name] || (strings.Contains(m.Name, "powercap") && !m.ReadOnly) {
			t.Errorf("%+v", m)
		}
	}
	if c.SecurityContext.Privileged != nil || *c.SecurityContext.AllowPrivilegeEscalation ||
		*p.AutomountServiceAccountToken || p.HostPID || p.HostNetwork {
		t.Errorf("more rights than needed: %+v", c.SecurityContext)
	}
	for name, q := range c.Resources.Limits {
		if strings.Contains(string(name), "/") && !c.Resources.Requests[name].Equal(q) {
			t.Errorf("%s: a GPU cannot be overcommitted", name)
		}
	}
}
