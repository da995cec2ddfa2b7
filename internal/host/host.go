// Package host takes the environment snapshot of a study: the machine, limits, neighbours and software behind
// the measured energy. The snapshot is written once per study as env.json; readers need it to judge whether
// two results are comparable.
//
// Three rules hold everywhere:
//
//   - Nothing is guessed. A fact that cannot be read is null and has an entry
//     in the snapshot's unknown map, keyed by its dotted JSON path, with the
//     reason ("cpu.microcode": "/proc/cpuinfo has no microcode line"). A GPU has
//     its own map.
//   - Nothing identifies a person or a machine. Host and user names, home
//     paths, addresses, serial numbers, cgroup paths and the environment at
//     large never enter the snapshot; free texts pass a filter that only
//     admits names and version numbers. The host name is included only on
//     request (Options.IncludeHostname).
//   - Nothing is changed. The package reads small files in /proc, /sys and
//     /etc, all relative to Options.Root, so a copied or fake tree gives the
//     same answer as the original machine.
//
// Three fields are null for a known reason and then have no entry in unknown: a cgroup limit that is not set
// (cgroup.cpu_quota_cores, cgroup.memory_limit_bytes, memory.cgroup_limit_bytes) and slurm outside of a Slurm
// job.
//
// [Collect] reads the machine and takes the GPU facts from its caller; when a worker has reported its
// interpreter and packages, [Snapshot.Merge] adds them. [Warnings] returns what a reader should doubt,
// [CPUThreads] the number of threads that the engine should use.
package host

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"
)

// SchemaVersion is the version of the JSON form of [Snapshot]. It increases when a key changes its meaning or
// is removed, not when one is added.
const SchemaVersion = 1

// Options are the inputs of [Collect].
type Options struct {
	// Root is the folder that contains proc, sys and etc; empty means "/", the running machine.
	Root string
	// GPUs are the facts from the caller. Nil means that GPUs were not examined, an empty slice that there
	// are none.
	GPUs []GPU
	// IncludeHostname adds the host name, which is omitted otherwise.
	IncludeHostname bool
	// Env looks up an environment variable. It is called only for the names in the Slurm reader and for
	// KUBERNETES_SERVICE_HOST, whose value is not used. Nil means no environment.
	Env func(string) string
	// Now is the time of the snapshot; zero means the current time.
	Now time.Time
	// Build describes the running binary; zero means [CurrentBuild].
	Build BuildInfo
	// Packages are the Python packages of engines whose versions [Snapshot.Merge] keeps, in addition to the
	// packages of all engines. A name that ends with * matches all names with the prefix.
	Packages []string
}

// Collect reads the environment snapshot. It takes some milliseconds, tens of milliseconds on a machine with
// hundreds of cores. Facts that cannot be read are not an error but entries in the snapshot's unknown map; an
// error means that ctx ended or that Root is not a folder.
func Collect(ctx context.Context, opt Options) (*Snapshot, error) {
	root := opt.Root
	if root == "" {
		root = "/"
	}
	fsys := os.DirFS(root)
	if info, err := fs.Stat(fsys, "."); err != nil {
		return nil, fmt.Errorf("collecting host facts: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("collecting host facts: %s is not a folder", root)
	}
	if opt.Env == nil {
		opt.Env = func(string) string { return "" }
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	if opt.Build.isZero() {
		opt.Build = CurrentBuild()
	}

	s := &Snapshot{
		SchemaVersion: SchemaVersion,
		CollectedAt:   opt.Now.UTC().Format(time.RFC3339),
		Build:         opt.Build.clean(),
		Unknown:       map[string]string{},
		packages:      opt.Packages,
	}
	r := &reader{fsys: fsys, live: root == "/", env: opt.Env, unknown: s.Unknown}

	// The order matters: usable cores need the cgroup, the virtualisation needs the CPU flags, CUDA needs the
	// GPUs.
	steps := []func(){
		func() { s.Cgroup = r.cgroup() },
		func() { s.CPU = r.cpu(ctx, s.Cgroup) },
		func() { s.OS = r.os(opt.IncludeHostname) },
		func() { s.Memory = r.memory(s.Cgroup) },
		func() { s.Load = r.load() },
		func() { s.GPUs = r.gpus(opt.GPUs) },
		func() { s.CUDA = r.cuda(s.GPUs) },
		r.noPython,
		func() { s.Slurm = r.slurm() },
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("collecting host facts: %w", err)
		}
		step()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("collecting host facts: %w", err)
	}
	return s, nil
}

// kernelArch is the running kernel's name for the architecture that this
// binary was built for.
func kernelArch() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}
