package client

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVisibleGPUs(t *testing.T) {
	two := []string{"GPU-a", "GPU-b"}
	for _, test := range []struct {
		name      string
		list      []string
		set       string
		want      []string
		variables []string
	}{
		{"none", nil, "GPU-a", nil, []string{"NVIDIA_VISIBLE_DEVICES=void"}},
		{"all", []string{"all"}, "1", []string{"all"}, nil},
		{"numbers are not passed on", two, "1", two, []string{"CUDA_VISIBLE_DEVICES=GPU-a,GPU-b"}},
		{"named", two, "GPU-b", two[1:], []string{"CUDA_VISIBLE_DEVICES=GPU-b"}},
		{"parts of one", two[:1], "MIG-2,MIG-1", []string{"MIG-2", "MIG-1"},
			[]string{"CUDA_VISIBLE_DEVICES=MIG-2,MIG-1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Visible(test.list, []string{"A=b", "CUDA_VISIBLE_DEVICES=" + test.set})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("visible (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.variables, GPUVariables(got)); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserOfContainer(t *testing.T) {
	for _, test := range []struct {
		podman bool
		uid    int
		want   string
	}{
		{false, 1001, "--user 1001:100 --userns=host --group-add 1002"},
		{false, 0, "--user 0:100 --userns=host"},
		{true, 1001, "--user 1001:100 --userns=keep-id --group-add keep-groups"},
		{true, 0, "--user 0:100"},
	} {
		if got := strings.Join(UserArgs(test.podman, test.uid, 100, []int{100, 1002}), " "); got != test.want {
			t.Errorf("podman %v, user %d: %s, want %s", test.podman, test.uid, got, test.want)
		}
	}
}

func TestLastOf(t *testing.T) {
	if diff := cmp.Diff([]string{"B=2", "A=3", "AB=4"}, LastOf([]string{"A=1", "B=2", "A=3", "AB=4"})); diff != "" {
		t.Errorf("last (-want +got):\n%s", diff)
	}
}

func TestCountList(t *testing.T) {
	for text, want := range map[string]int{"0\n": 1, "0-1": 2, "0-3,8,10-11": 7, "": 0, "x": 0} {
		if got := countList(text); got != want {
			t.Errorf("%q has %d processors, want %d", text, got, want)
		}
	}
}
