package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/note"
)

var update = flag.Bool("update", false, "write the golden files")

// archived returns the files of a tree kept as one txtar file: "-- name --"
// before each file's text, a comment before the first.
func archived(t testing.TB, archive string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	files, name := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(rest, " --") {
			name = strings.TrimSuffix(rest, " --")
			files[name] = ""
		} else if name != "" {
			files[name] += line
		}
	}
	return files
}

// untar unpacks a tree and returns its root.
func untar(t testing.TB, archive string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range archived(t, archive) {
		writeFile(t, root, name, text)
	}
	return root
}

func writeFile(t testing.TB, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func env(kv map[string]string) func(string) string {
	return func(k string) string { return kv[k] }
}

func options(root string) Options {
	return Options{
		Root: root,
		Now:  time.Date(2026, 3, 1, 13, 4, 5, 678, time.FixedZone("", 3600)),
		Build: BuildInfo{Version: "v1.2.3", Commit: "0123abc", GoVersion: "go1.26.0",
			Flags: map[string]string{"CGO_CXXFLAGS": "-O3 -march=native"}},
	}
}

// h100 is a GPU of which nearly everything is known.
func h100(index int, bus string) GPU {
	return GPU{
		Index: index, UUID: new("GPU-6f1c2a3b-0000-4000-8000-00000000000" + strconv.Itoa(index)),
		Name: new("NVIDIA H100 80GB HBM3"), Vendor: new("nvidia"), VRAMTotalBytes: new(int64(85520809984)),
		ComputeCapability: new("9.0"), Architecture: new("hopper"), DriverVersion: new("570.124.06"),
		CUDADriverVersion: new("12.8"), VBIOS: new("96.00.A5.00.01"),
		PCIeGenCurrent: new(5), PCIeGenMax: new(5), PCIeWidthCurrent: new(16), PCIeWidthMax: new(16), PCIBusID: &bus,
		MIGMode: new("disabled"), ECCMode: new("enabled"), PersistenceMode: new("enabled"), ComputeMode: new("default"),
		PowerLimitW: new(700.0), PowerLimitDefaultW: new(700.0), PowerLimitMinW: new(200.0), PowerLimitMaxW: new(700.0),
		SMClockMHz: new(345), MemClockMHz: new(2619), SMClockMaxMHz: new(1980), MemClockMaxMHz: new(2619),
		TemperatureC: new(31.0), TemperatureSlowdownC: new(87.0), Processes: []GPUProcess{},
		Unknown: map[string]string{"fan_speed_pct": "the board has no fan"},
	}
}

func TestCollectGolden(t *testing.T) {
	trees, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(trees) < 8 {
		t.Fatalf("found %d trees: %v", len(trees), err)
	}
	for _, tree := range trees {
		name := strings.TrimSuffix(filepath.Base(tree), ".txtar")
		t.Run(name, func(t *testing.T) {
			opt := options(untar(t, tree))
			switch name {
			case "intel-2s":
				shared := h100(1, "00000000:5F:00.0")
				shared.Processes = []GPUProcess{{PID: 999, UsedBytes: new(int64(1 << 30)), Kind: "compute"}}
				opt.GPUs = []GPU{h100(0, "00000000:4E:00.0"), shared}
			case "amd-vm":
				opt.GPUs = []GPU{}
			case "slurm-v2":
				opt.Env = env(map[string]string{"SLURM_JOB_ID": "4242", "SLURM_JOB_PARTITION": "gpu-a100",
					"SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "4",
					"SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_NODE": "65536", "SLURM_GPUS_ON_NODE": "none"})
			}
			s, err := Collect(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			checkNulls(t, s)
			got, err := json.MarshalIndent(struct {
				Snapshot   *Snapshot `json:"snapshot"`
				Warnings   note.List `json:"warnings"`
				CPUThreads int       `json:"cpu_threads"`
			}{s, Warnings(s), CPUThreads(s)}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := filepath.Join("testdata", name+".golden.json")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("snapshot (-want +got):\n%s", diff)
			}
		})
	}
}

// checkNulls asserts that each null has a reason, each reason a null, and that
// nothing but the documented fields is null without one.
func checkNulls(t *testing.T, s *Snapshot) {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(b, &tree); err != nil {
		t.Fatal(err)
	}
	nulls := map[string]bool{}
	var walk func(prefix string, node map[string]any)
	walk = func(prefix string, node map[string]any) {
		for key, value := range node {
			switch v := value.(type) {
			case nil:
				nulls[prefix+key] = true
			case map[string]any:
				walk(prefix+key+".", v)
			}
		}
	}
	walk("", tree)
	for field := range nulls {
		switch field {
		case "slurm", "cgroup.cpu_quota_cores", "cgroup.memory_limit_bytes", "memory.cgroup_limit_bytes":
			continue
		}
		if s.Unknown[field] == "" {
			t.Errorf("%s is null without a reason", field)
		}
	}
	for field, why := range s.Unknown {
		if !nulls[field] {
			t.Errorf("%s is said to be unknown (%s) but is not null", field, why)
		}
		if why == "" {
			t.Errorf("%s has an empty reason", field)
		}
	}
	for _, g := range s.GPUs {
		if g.FanSpeedPct == nil && g.Unknown["fan_speed_pct"] == "" || g.Name == nil && g.Unknown["name"] == "" {
			t.Errorf("GPU %d has a null without a reason: %v", g.Index, g.Unknown)
		}
	}
}

func TestCollectLeavesTheCallersFactsAlone(t *testing.T) {
	in := []GPU{h100(0, "00000000:4E:00.0"), {Index: 1}}
	before := len(in[0].Unknown)
	opt := options(untar(t, "testdata/intel-2s.txtar"))
	opt.GPUs = in
	s, err := Collect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if in[0].NUMANode != nil || in[1].Unknown != nil || len(in[0].Unknown) != before {
		t.Error("Collect changed the caller's GPUs")
	}
	if got := s.GPUs[0].NUMANode; got == nil || *got != 1 {
		t.Errorf("NUMA node of GPU 0 = %v, want 1", got)
	}
	if got := s.GPUs[1].Unknown["uuid"]; got != "not reported" {
		t.Errorf("reason for the missing UUID = %q", got)
	}
}

func TestCollectErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Collect(ctx, options(t.TempDir())); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: err = %v", err)
	}
	dir := t.TempDir()
	if _, err := Collect(t.Context(), options(filepath.Join(dir, "gone"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing root: err = %v", err)
	}
	writeFile(t, dir, "file", "")
	if _, err := Collect(t.Context(), options(filepath.Join(dir, "file"))); err == nil {
		t.Error("a file as root: no error")
	}
}

// TestCollectLive reads the machine that runs the test, whatever it is.
func TestCollectLive(t *testing.T) {
	s, err := Collect(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkNulls(t, s)
	if at, err := time.Parse(time.RFC3339, s.CollectedAt); err != nil || time.Since(at) > time.Hour ||
		!strings.HasSuffix(s.CollectedAt, "Z") {
		t.Errorf("collected_at = %q: %v", s.CollectedAt, err)
	}
	if s.Build.GoVersion != runtime.Version() && !strings.HasPrefix(runtime.Version(), s.Build.GoVersion) {
		t.Errorf("go_version = %q, want %q", s.Build.GoVersion, runtime.Version())
	}
	// Go asks sched_getaffinity; the status file must say the same.
	if got := s.CPU.CPUsAllowed; got == nil || *got != runtime.NumCPU() {
		t.Errorf("cpus_allowed = %v, want %d", got, runtime.NumCPU())
	}
	if n := CPUThreads(s); n < 1 || n > runtime.NumCPU() {
		t.Errorf("CPUThreads = %d of %d", n, runtime.NumCPU())
	}
	if name, err := os.Hostname(); err == nil && len(name) > 5 {
		if b, _ := json.Marshal(s); bytes.Contains(b, []byte(name)) {
			t.Error("the snapshot holds the host name")
		}
	}
}

// bigTree is a server with 384 hardware threads on two sockets.
func bigTree(t testing.TB) string {
	root := untar(t, "testdata/intel-2s.txtar")
	const n = 384
	line := "flags\t\t: " + strings.Repeat("abcdefgh ", 150) + "avx2\n"
	var info strings.Builder
	for i := range n {
		cpu := strconv.Itoa(i)
		core := i % (n / 2)
		info.WriteString("processor\t: " + cpu + "\nmodel name\t: Big\n" + line + "\n")
		dir := "sys/devices/system/cpu/"
		writeFile(t, root, dir+"cpu"+cpu+"/topology/core_cpus_list", strconv.Itoa(core)+","+strconv.Itoa(core+n/2))
		writeFile(t, root, dir+"cpu"+cpu+"/topology/physical_package_id", strconv.Itoa(core/(n/4)))
		for file, text := range map[string]string{"affected_cpus": cpu, "scaling_governor": "performance",
			"energy_performance_preference": "performance", "cpuinfo_max_freq": "3700000"} {
			writeFile(t, root, dir+"cpufreq/policy"+cpu+"/"+file, text)
		}
	}
	writeFile(t, root, "proc/cpuinfo", info.String())
	writeFile(t, root, "proc/self/status", "Cpus_allowed_list:\t0-383")
	writeFile(t, root, "sys/devices/system/cpu/online", "0-383")
	return root
}

// TestCollectOfALargeMachine: what two sockets of 96 cores say; BenchmarkCollect has how long it takes.
func TestCollectOfALargeMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("fabricates a tree of thousands of files")
	}
	s, err := Collect(t.Context(), options(bigTree(t)))
	if err != nil {
		t.Fatal(err)
	}
	if *s.CPU.CoresPhysical != 192 || *s.CPU.Sockets != 2 || s.CPU.Governor["performance"] != 384 {
		t.Fatalf("wrong facts: %d cores, %d sockets, %v", *s.CPU.CoresPhysical, *s.CPU.Sockets, s.CPU.Governor)
	}
}

func BenchmarkCollect(b *testing.B) {
	opt := options(bigTree(b))
	for b.Loop() {
		if _, err := Collect(b.Context(), opt); err != nil {
			b.Fatal(err)
		}
	}
}
