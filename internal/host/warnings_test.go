package host

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Snapshot
		want []note.Code
		text string // in the first message
	}{
		{"nothing known", Snapshot{}, nil, ""},
		{"quiet", Snapshot{CPU: CPU{CoresUsable: new(8.0), CPUsAllowed: new(8),
			Governor: map[string]int{"performance": 8}},
			Load: Load{Avg1m: new(4.0)}, Cgroup: Cgroup{CPUQuotaCores: new(8.0), CPUThrottledPeriods: new(int64(0))},
			Memory: Memory{SwapUsedBytes: new(int64(1 << 20))}, OS: OS{Virtualisation: Virtualisation{VM: new(false)}},
			GPUs: []GPU{{Processes: []GPUProcess{}}}}, nil, ""},
		{"busy", Snapshot{CPU: CPU{CoresUsable: new(2.5)}, Load: Load{Avg1m: new(1.26)}}, []note.Code{codes.NoisyHost},
			"a load of 1.26 for 2.50 usable hardware threads"},
		{"slow governor", Snapshot{CPU: CPU{Governor: map[string]int{"powersave": 4},
			FrequencyDriver: new("acpi-cpufreq")}},
			[]note.Code{codes.GovernorPowersave}, "lowest clock"},
		{"dynamic governor", Snapshot{CPU: CPU{Governor: map[string]int{"powersave": 4},
			FrequencyDriver: new("amd-pstate-epp"), EPP: map[string]int{"balance_performance": 4}}},
			[]note.Code{codes.GovernorPowersave}, "follow the load, with the preference balance_performance"},
		{"two governors", Snapshot{CPU: CPU{Governor: map[string]int{"performance": 3, "schedutil": 1}}},
			[]note.Code{codes.GovernorMixed}, "performance (3), schedutil (1)"},
		{"quota", Snapshot{CPU: CPU{CPUsAllowed: new(8)},
			Cgroup: Cgroup{CPUQuotaCores: new(1.5), CPUThrottledPeriods: new(int64(3))}},
			[]note.Code{codes.CPUQuota, codes.CPUThrottled}, "1.50 hardware threads"},
		{"swap", Snapshot{Memory: Memory{SwapUsedBytes: new(int64(3 << 30))}}, []note.Code{codes.SwapInUse},
			"3.00 GiB of swap"},
		{"guest", Snapshot{OS: OS{Virtualisation: Virtualisation{VM: new(true), Hypervisor: new("kvm")}}},
			[]note.Code{codes.VirtualMachine}, "(kvm)"},
		{"shared GPU", Snapshot{GPUs: []GPU{{}, {Index: 1, Processes: []GPUProcess{{PID: 1}}}}},
			[]note.Code{codes.GPUShared}, "GPU 1"},
		{"two environments", Snapshot{Conflicts: []string{"python.version: 3.11 and 3.12"}},
			[]note.Code{codes.MixedSoftware}, "3.11 and 3.12"},
	} {
		got := Warnings(&tt.s)
		if diff := cmp.Diff(tt.want, got.Codes()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		} else if tt.text != "" && !strings.Contains(got[0].Message, tt.text) {
			t.Errorf("%s: message %q lacks %q", tt.name, got[0].Message, tt.text)
		}
	}
}

func TestCPUThreads(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Snapshot
		want int
	}{
		{"nothing known", Snapshot{}, 1},
		{"physical cores", Snapshot{CPU: CPU{CoresPhysicalUsable: new(16), CPUsAllowed: new(32)}}, 16},
		{"affinity only", Snapshot{CPU: CPU{CPUsAllowed: new(3), CoresPhysical: new(8)}}, 3},
		{"no affinity", Snapshot{CPU: CPU{CoresPhysical: new(8), CoresLogical: new(16)}}, 8},
		{"quota", Snapshot{CPU: CPU{CoresPhysicalUsable: new(16)}, Cgroup: Cgroup{CPUQuotaCores: new(3.9)}}, 3},
		{"small quota", Snapshot{CPU: CPU{CoresPhysicalUsable: new(16)}, Cgroup: Cgroup{CPUQuotaCores: new(0.5)}}, 1},
		{"wide quota", Snapshot{CPU: CPU{CoresPhysicalUsable: new(4)}, Cgroup: Cgroup{CPUQuotaCores: new(1e18)}}, 4},
	} {
		if got := CPUThreads(&tt.s); got != tt.want {
			t.Errorf("%s: CPUThreads = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestGovernor(t *testing.T) {
	for _, tt := range []struct {
		in   map[string]int
		want string
		ok   bool
	}{
		{nil, "", false},
		{map[string]int{"performance": 8}, "performance", true},
		{map[string]int{"performance": 4, "powersave": 4}, "", true},
	} {
		if got, ok := Governor(&Snapshot{CPU: CPU{Governor: tt.in}}); got != tt.want || ok != tt.ok {
			t.Errorf("Governor(%v) = %q, %v, want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestMerge(t *testing.T) {
	opt := options(untar(t, "testdata/intel-2s.txtar"))
	opt.Packages = []string{"torch*", "flash-attn*", "vllm*"}
	s, err := Collect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := deref(s.CUDA.Source); got != "version_file" {
		t.Fatalf("source before = %q", got)
	}
	s.Merge(WorkerReport{})
	if got := deref(s.CUDA.RuntimeVersion); got != "12.8.1" || s.Python.Packages != nil {
		t.Errorf("an empty report changed the runtime to %q, the packages to %v", got, s.Python.Packages)
	}
	s.Merge(WorkerReport{PythonVersion: "3.12.4", Executable: `C:\venv\python.exe`, CUDARuntime: "12.6",
		CuDNN:      "9.10.2",
		CUDASource: "torch", Packages: map[string]string{"Torch": "2.9.1+cu126", "flash_attn": "2.8.3",
			"requests": "2.32"}})
	checkNulls(t, s)
	if got := []string{*s.CUDA.RuntimeVersion, *s.CUDA.Source, *s.CUDA.CuDNNVersion,
		*s.Python.Executable}; !slices.Equal(got,
		[]string{"12.6", "torch", "9.10.2", "python.exe"}) {
		t.Errorf("after the first worker: %q", got)
	}
	if want := map[string]string{"torch": "2.9.1+cu126", "flash-attn": "2.8.3"}; !maps.Equal(s.Python.Packages, want) {
		t.Errorf("packages = %v, want %v", s.Python.Packages, want)
	}
	for range 2 { // the same news twice is told once
		s.Merge(WorkerReport{PythonVersion: "3.11.9", CUDARuntime: "12.8", CUDASource: "torch",
			Packages: map[string]string{"torch": "2.8.0", "vllm": "0.11.0"}})
	}
	want := []string{"cuda.runtime_version: 12.6 and 12.8", "python.packages.torch: 2.9.1+cu126 and 2.8.0",
		"python.version: 3.12.4 and 3.11.9"}
	if diff := cmp.Diff(want, s.Conflicts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if got := s.Python.Packages["torch"]; got != "2.9.1+cu126" || s.Python.Packages["vllm"] != "0.11.0" {
		t.Errorf("packages after the second worker = %v", s.Python.Packages)
	}
	var zero Snapshot
	zero.Merge(WorkerReport{PythonVersion: "3.12.4"}) // a snapshot read back from disk may lack the map
	if deref(zero.Python.Version) != "3.12.4" {
		t.Error("Merge into an empty snapshot lost the version")
	}
}
