// Package client builds the arguments of container clients such as docker and podman: user, GPUs, folders,
// processors and variables. Its functions are pure, except [Processors].
package client

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// UserArgs returns the options that make this user the owner of files that the engine writes. Inside, user and
// group ids equal those outside: a model may be shared by its group.
func UserArgs(podman bool, uid, gid int, groups []int) []string {
	args := []string{"--user", fmt.Sprintf("%d:%d", uid, gid)}
	switch {
	case podman && uid != 0: // otherwise its group ids differ from those outside
		return append(args, "--userns=keep-id", "--group-add", "keep-groups")
	case !podman:
		args = append(args, "--userns=host")
	}
	for _, g := range groups {
		if g != gid && uid != 0 { // root may read all
			args = append(args, "--group-add", strconv.Itoa(g))
		}
	}
	return args
}

// AllGPUs stands for every GPU of the machine.
const AllGPUs = "all"

// Visible returns the GPUs of list that the user's environment also names by UUID. Index numbers would mean other
// GPUs inside.
func Visible(list, environ []string) []string {
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		if name == cudaVisible && len(list) > 0 &&
			(strings.HasPrefix(text, "GPU-") || strings.HasPrefix(text, "MIG-")) {
			return strings.Split(text, ",")
		}
	}
	return list
}

const cudaVisible = "CUDA_VISIBLE_DEVICES"

// GPUVariables returns the variables that tell the engine its GPUs in order. Images for GPUs request all of them
// in a variable of their own.
func GPUVariables(list []string) []string {
	switch {
	case len(list) == 0:
		return []string{"NVIDIA_VISIBLE_DEVICES=void"}
	case list[0] == AllGPUs:
		return nil
	}
	return []string{cudaVisible + "=" + strings.Join(list, ",")}
}

// GPUs returns the options that give a container its GPUs.
func GPUs(podman bool, list []string) []string {
	switch {
	case len(list) == 0:
		return nil
	case podman:
		var args []string
		for _, g := range list {
			args = append(args, "--device", "nvidia.com/gpu="+g)
		}
		return args
	case list[0] == AllGPUs:
		return []string{"--gpus", AllGPUs}
	}
	return []string{"--gpus", fields("device=" + strings.Join(list, ","))} // one field, although it contains commas
}

// Mount returns the option for a folder that the container sees under the same path.
func Mount(dir string, readonly bool) string {
	list := []string{"type=bind", "source=" + dir, "target=" + dir}
	if readonly {
		list = append(list, "readonly")
	}
	return fields(list...)
}

// fields joins values as a CSV line, the format that clients split.
func fields(list ...string) string {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(list) // a write to memory does not fail
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// LastOf keeps the last of several values of a variable: clients disagree on which one counts.
func LastOf(env []string) []string {
	var out []string
	for i, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(env[i+1:], func(later string) bool { return strings.HasPrefix(later, name+"=") }) {
			out = append(out, kv)
		}
	}
	return out
}

// maxProcessors is the size of the kernel's set.
const maxProcessors = 1024

// onlineFile lists the machine's processors.
const onlineFile = "/sys/devices/system/cpu/online"

// Processors returns the options that bind the container to the processors of this process, if they are not all:
// the service that starts it may use others.
func Processors() []string {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var list []string
	for cpu := range maxProcessors {
		if set.IsSet(cpu) {
			list = append(list, strconv.Itoa(cpu))
		}
	}
	text, err := os.ReadFile(onlineFile)
	if err != nil || len(list) >= countList(string(text)) {
		return nil
	}
	return []string{"--cpuset-cpus", strings.Join(list, ",")}
}

// countList returns the number of entries in a list such as 0-3,8.
func countList(text string) int {
	n := 0
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		low, high, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(low)
		to := from
		if isRange && err == nil {
			to, err = strconv.Atoi(high)
		}
		if err != nil {
			return 0
		}
		n += to - from + 1
	}
	return n
}
