// Package client writes what container clients such as docker and podman are told about a
// container: its user, GPUs, folders, processors and variables. Its functions are pure, but
// for [Processors].
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

// UserArgs make the files that the engine writes this user's. Inside, the numbers are those
// of outside, and so are the groups, by which a model may be shared.
func UserArgs(podman bool, uid, gid int, groups []int) []string {
	args := []string{"--user", fmt.Sprintf("%d:%d", uid, gid)}
	switch {
	case podman && uid != 0: // its own numbers for groups are not those of outside
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

// Visible are the GPUs that a container sees of those that it may: the ones that the
// user's environment names, if by UUID. Numbers would mean others inside.
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

// GPUVariables tell the engine its GPUs in their order; images for GPUs ask for all of
// them by a variable of their own.
func GPUVariables(list []string) []string {
	switch {
	case len(list) == 0:
		return []string{"NVIDIA_VISIBLE_DEVICES=void"}
	case list[0] == AllGPUs:
		return nil
	}
	return []string{cudaVisible + "=" + strings.Join(list, ",")}
}

// GPUs are the options that give a container its GPUs.
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
	return []string{"--gpus", fields("device=" + strings.Join(list, ","))} // one field, though it has commas
}

// Mount is a folder that the container sees under its own name.
func Mount(dir string, readonly bool) string {
	list := []string{"type=bind", "source=" + dir, "target=" + dir}
	if readonly {
		list = append(list, "readonly")
	}
	return fields(list...)
}

// fields are joined as the clients take them apart: as a line of CSV.
func fields(list ...string) string {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(list) // into memory
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// LastOf keeps the last of several values of a variable: clients do not agree on which holds.
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

// Processors binds the container to those that this process may use, where they are not all:
// a container is started by a service that may use others.
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

// countList counts a list such as 0-3,8.
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
