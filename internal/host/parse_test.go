package host

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestParseCPUList(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []int
		ok   bool
	}{
		{"", nil, true},
		{"0\n", []int{0}, true},
		{"0-3,8", []int{0, 1, 2, 3, 8}, true},
		{"8, 0-1,1", []int{0, 1, 8}, true},
		{"3-1", nil, false},
		{"0-8:2/4", nil, false},
		{"-1", nil, false},
		{"0-70000", nil, false},
		{"a", nil, false},
		{"1,,2", nil, false},
	} {
		got, ok := parseCPUList(tt.in)
		if ok != tt.ok || !slices.Equal(got, tt.want) {
			t.Errorf("parseCPUList(%q) = %v, %v, want %v, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestParseCPUMax(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want float64
		ok   bool
	}{
		{"max 100000", 0, true},
		{"max", 0, true},
		{"150000 100000", 1.5, true},
		{"50000", 0.5, true},
		{"0 100000", 0, false},
		{"100000 0", 0, false},
		{"1 2 3", 0, false},
		{"", 0, false},
	} {
		got, err := parseCPUMax(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseCPUMax(%q) = %v, %v", tt.in, got, err)
		}
	}
}

func TestParseMemoryMax(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"max", 0, true},
		{"1073741824\n", 1 << 30, true},
		{"9223372036854771712", 0, true},  // version 1, 4 KiB pages
		{"9223372036854710272", 0, true},  // version 1, 64 KiB pages
		{"18446744073709551615", 0, true}, // very old kernels
		{"-1", 0, true},
		{"-2", 0, false},
		{"", 0, false},
	} {
		got, err := parseMemoryMax(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseMemoryMax(%q) = %v, %v", tt.in, got, err)
		}
	}
}

func TestGroupDirs(t *testing.T) {
	for _, tt := range []struct {
		name, own, root, point string
		want                   []string
	}{
		{"own namespace", "/", "/", "/sys/fs/cgroup", []string{"sys/fs/cgroup"}},
		{"on the host", "/a/b", "/", "/cg", []string{"cg/a/b", "cg/a", "cg"}},
		{"container without a namespace", "/docker/x", "/docker/x", "/cg", []string{"cg"}},
		{"group inside that container", "/docker/x/y", "/docker/x", "/cg", []string{"cg/y", "cg"}},
		{"a neighbour's prefix", "/docker/xy", "/docker/x", "/cg", []string{"cg"}},
		{"outside of the mount", "/../other", "/docker/x", "/cg", []string{"cg"}},
		{"mounted at the root", "/a", "/", "/", []string{"a", "."}},
	} {
		got := groupDirs(tt.own, cgroupMount{root: tt.root, point: tt.point})
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: groupDirs = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// On a machine with both versions, each controller is found where it is.
func TestGroupOfHybrid(t *testing.T) {
	entries := parseCgroup("4:memory:/m\n1:name=systemd:/s\n0::/u\n")
	mounts := parseCgroupMounts("32 31 0:29 / /cg/memory rw - cgroup cgroup rw,memory\n" +
		`41 31 0:38 / /cg/uni\040fied rw shared:1 - cgroup2 cgroup2 rw`)
	if g, ok := groupOf("memory", entries, mounts); !ok || g.v2 || g.dirs[0] != "cg/memory/m" {
		t.Errorf("memory: %+v, %v", g, ok)
	}
	if g, ok := groupOf("cpu", entries, mounts); !ok || !g.v2 || g.dirs[0] != "cg/uni fied/u" {
		t.Errorf("cpu: %+v, %v", g, ok)
	}
}

func TestHypervisorAndContainer(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const x86Info, x86Guest = "processor: 0\nflags: fpu sse2\n", "processor: 0\nflags: fpu hypervisor\n"
	for _, tt := range []struct {
		name, arch, cpuinfo     string
		files                   fstest.MapFS
		vm, hypervisor, contain string
	}{
		{"cloud bare metal", "x86_64", x86Info, fstest.MapFS{
			dirDMI + "/sys_vendor": file("Amazon EC2"), dirDMI + "/product_name": file("m7i.metal-24xl")}, "false",
			"none", "none"},
		{"arm cloud bare metal", "aarch64", "processor: 0\nFeatures: asimd\n", fstest.MapFS{
			dirDMI + "/sys_vendor": file("Amazon EC2"), dirDMI + "/product_name": file("c7g.metal")}, "false", "none",
			"none"},
		{"arm cloud", "aarch64", "processor: 0\nFeatures: asimd\n", fstest.MapFS{
			dirDMI + "/sys_vendor": file("Amazon EC2"), dirDMI + "/product_name": file("c7g.large")}, "true", "ec2",
			"none"},
		{"arm guest by device tree", "aarch64", "", fstest.MapFS{
			dirHypervisor + "/compatible": file("linux,kvm\x00")}, "true", "kvm", "none"},
		{"arm, nothing to go by", "aarch64", "", fstest.MapFS{}, "unknown", "unknown", "none"},
		{"nameless guest", "x86_64", x86Guest, fstest.MapFS{}, "true", "unknown", "none"},
		{"VMware", "x86_64", x86Guest, fstest.MapFS{dirDMI + "/sys_vendor": file("VMware, Inc.")}, "true", "vmware",
			"none"},
		{"Hyper-V", "x86_64", x86Guest, fstest.MapFS{dirDMI + "/sys_vendor": file("Microsoft Corporation"),
			dirDMI + "/product_name": file("Virtual Machine")}, "true", "hyperv", "none"},
		{"Xen", "x86_64", x86Guest, fstest.MapFS{"sys/hypervisor/type": file("xen\n")}, "true", "xen", "none"},
		{"Firecracker", "x86_64", x86Guest, fstest.MapFS{dirDMI + "/sys_vendor": file("Firecracker")}, "true",
			"firecracker", "none"},
		{"podman", "x86_64", x86Info, fstest.MapFS{"run/.containerenv": file("")}, "false", "none", "podman"},
		{"apptainer", "x86_64", x86Info, fstest.MapFS{".singularity.d/x": file("")}, "false", "none", "apptainer"},
		{"lxc", "x86_64", x86Info, fstest.MapFS{"proc/1/cgroup": file("0::/lxc/x")}, "false", "none", "lxc"},
		{"nspawn", "x86_64", x86Info, fstest.MapFS{"run/systemd/container": file("systemd-nspawn")}, "false", "none",
			"systemd-nspawn"},
		{"containerd by its layers", "x86_64", x86Info, fstest.MapFS{fileMountinfo: file(
			"1 0 0:5 / / rw - overlay overlay rw,lowerdir=/var/lib/containerd/x")}, "false", "none", "containerd"},
		{"kubernetes in docker", "x86_64", x86Info, fstest.MapFS{".dockerenv": file(""),
			"run/secrets/kubernetes.io/serviceaccount/token": file("x")}, "false", "none", "kubernetes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.files[fileArch] = file(tt.arch)
			if tt.files["proc/1/cgroup"] == nil {
				tt.files["proc/1/cgroup"] = file("0::/init.scope")
			}
			info := parseCPUInfo(tt.cpuinfo)
			r := &reader{fsys: tt.files, env: env(nil), unknown: map[string]string{},
				cpuFlags: info.flags, cpuHypervisor: info.hypervisor}
			v := r.os(false).Virtualisation
			vm := "unknown"
			if v.VM != nil {
				vm = map[bool]string{true: "true", false: "false"}[*v.VM]
			}
			got := []string{vm, orUnknown(v.Hypervisor), deref(v.Container)}
			if want := []string{tt.vm, tt.hypervisor, tt.contain}; !slices.Equal(got, want) {
				t.Errorf("vm, hypervisor, container = %q, want %q", got, want)
			}
		})
	}
}

func TestReasonHoldsNoErrorText(t *testing.T) {
	err := &fs.PathError{Op: "open", Path: "/home/someone", Err: os.ErrDeadlineExceeded}
	if got, want := reason("/proc/x", err), "/proc/x cannot be read"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"  a \t b\x00\n":         "a b",
		"x\x1b[31my\xff":         "x [31my",
		strings.Repeat("é", 100): strings.Repeat("é", 64),
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// seedTrees adds one file of every fabricated tree to a fuzz corpus.
func seedTrees(f *testing.F, name string) {
	trees, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, tree := range trees {
		if text, ok := archived(f, tree)[name]; ok {
			f.Add(text)
		}
	}
}

func FuzzParseCPUInfo(f *testing.F) {
	seedTrees(f, fileCPUInfo)
	f.Add("processor : 0\nprocessor : 0\nphysical id: \ncore id:\nflags:")
	f.Fuzz(func(t *testing.T, text string) {
		info := parseCPUInfo(text)
		if !slices.IsSorted(info.cpus) {
			t.Errorf("processors not in order: %v", info.cpus)
		}
		for _, core := range info.cores {
			if len(core) == 0 || len(intersect(info.cpus, core)) == 0 {
				t.Errorf("core %v is not among the processors %v", core, info.cpus)
			}
		}
		for _, v := range append(info.models, info.vendor, info.microcode) {
			if v != clean(v) {
				t.Errorf("unclean text %q", v)
			}
		}
		if flags := flagsOfInterest(info.flags); flags == nil || !slices.IsSorted(flags) {
			t.Errorf("flags of interest = %v", flags)
		}
	})
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/a/b\n4:cpu,cpuacct:/c", "30 23 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "250000 100000")
	f.Add("0::/../..", "1 1 0:1 / / rw - cgroup cgroup rw,cpu", "max")
	f.Add("1:memory:/x\\040y", "", "9223372036854771712")
	f.Fuzz(func(t *testing.T, groups, mounts, value string) {
		entries, mounted := parseCgroup(groups), parseCgroupMounts(mounts)
		for _, controller := range []string{"cpu", "memory", "cpuset"} {
			g, ok := groupOf(controller, entries, mounted)
			if ok && len(g.dirs) == 0 {
				t.Error("a group without a folder")
			}
			for _, dir := range g.dirs {
				if strings.HasPrefix(dir, "/") || slices.Contains(strings.Split(dir, "/"), "..") {
					t.Errorf("folder %q leaves the tree", dir)
				}
			}
		}
		if cores, err := parseCPUMax(value); cores < 0 || math.IsInf(cores, 0) || math.IsNaN(cores) ||
			(err != nil && cores != 0) {
			t.Errorf("parseCPUMax(%q) = %v, %v", value, cores, err)
		}
		if n, err := parseMemoryMax(value); n < 0 || n >= noLimitV1 || (err != nil && n != 0) {
			t.Errorf("parseMemoryMax(%q) = %v, %v", value, n, err)
		}
		if list, ok := parseCPUList(value); len(list) > maxCPU || !slices.IsSorted(list) || (!ok && list != nil) {
			t.Errorf("parseCPUList(%q) = %v, %v", value, list, ok)
		}
	})
}

func FuzzMemoryAndLoad(f *testing.F) {
	seedTrees(f, fileMeminfo)
	seedTrees(f, fileLoadavg)
	f.Fuzz(func(t *testing.T, text string) {
		for key, n := range parseMeminfo(text) {
			if n < 0 {
				t.Errorf("%s = %d", key, n)
			}
		}
		if avg, running, ok := parseLoadavg(text); ok && (running < 0 || !(avg[0] >= 0) || math.IsInf(avg[0], 0)) {
			t.Errorf("parseLoadavg(%q) = %v, %d", text, avg, running)
		}
	})
}

func orUnknown(s *string) string {
	if s == nil {
		return "unknown"
	}
	return *s
}
