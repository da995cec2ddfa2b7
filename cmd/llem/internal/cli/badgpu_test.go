package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/result"
)

// severalGPUs makes simulated GPUs, each with its faults.
func severalGPUs(t *testing.T, faults ...func(*sim.Sensors)) *simulation {
	t.Helper()
	if testing.Short() {
		t.Skip("seconds of simulated work in real time")
	}
	gpus := make([]sim.Sensors, len(faults))
	for i, spoil := range faults {
		gpus[i] = sim.DefaultSensors()
		spoil(&gpus[i])
	}
	dir := t.TempDir()
	s := &simulation{program: program{results: filepath.Join(dir, "results")}}
	var err error
	if s.file, err = sim.Create(filepath.Join(dir, "gpu"),
		sim.Options{GPUs: gpus, BareW: 78, Serial: serial()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.file.Close() })
	return s
}

func healthy(*sim.Sensors) {}

// command is llem on the simulation, for one line of arguments.
func (s *simulation) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.llem(path, imitatedNVML(t), sharedCache(t))
	if len(args) > 0 {
		cmd.Args = append([]string{path}, args...)
	}
	return cmd
}

// energyOf is what a result says of each device.
type energyOf struct {
	Status   string
	Warnings []struct{ Code, Message string }
	Window   struct {
		Start int64 `json:"start_mono_ns"`
		End   int64 `json:"end_mono_ns"`
	}
	Energy struct {
		Reason  string
		Total   *quantity `json:"total_j"`
		Devices []struct {
			Device, Reason string
			Counted        bool
			Energy         *quantity `json:"energy_j"`
		}
		Missing []struct{ Source, Message, Next string }
	}
}

// measured runs llem to its end and reads its only result.
func (s *simulation) measured(t *testing.T, cmd *exec.Cmd) energyOf {
	t.Helper()
	if err := cmd.Wait(); err != nil {
		t.Logf("%v; output:\n%s", err, s.out.String())
	}
	runs, _ := filepath.Glob(filepath.Join(s.studyDir(t), result.RunsDir, "*", "result.json"))
	if len(runs) != 1 {
		t.Fatalf("runs %v; output:\n%s", runs, s.out.String())
	}
	text, err := os.ReadFile(runs[0])
	if err != nil {
		t.Fatal(err)
	}
	var e energyOf
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (s *simulation) start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := s.command(t)
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// TestDoctorWithABadGPU: one GPU that the driver refuses or has lost takes no other away.
// It is listed with what would help, where it is visible.
func TestDoctorWithABadGPU(t *testing.T) {
	t.Parallel()
	now := time.Nanosecond
	lost := func(s *sim.Sensors) { s.Faults.LostAfter = now }
	for name, c := range map[string]struct {
		gpus    []func(*sim.Sensors)
		visible string // CUDA_VISIBLE_DEVICES; "unset"
		devices []string
		missing []string // source and message, then what would help
	}{
		"lost": {[]func(*sim.Sensors){healthy, lost, healthy}, "unset", []string{"gpu0", "gpu2"},
			[]string{"nvml gpu1: the driver has lost this GPU", "reboot"}},
		"denied": {[]func(*sim.Sensors){healthy, func(s *sim.Sensors) { s.Faults.DeniedAfter = now }}, "unset",
			[]string{"gpu0"}, []string{"nvml gpu1: this process has no permission to use this GPU", "allocation"}},
		"not found": {[]func(*sim.Sensors){func(s *sim.Sensors) { s.Faults.FailedAfter, s.Faults.FailedCode = now, 28 },
			healthy}, "unset", []string{"gpu1"}, []string{"nvml gpu0: the driver lists this GPU", "lspci"}},
		"unknown": {[]func(*sim.Sensors){func(s *sim.Sensors) { s.Faults.FailedAfter, s.Faults.FailedCode = now, 999 },
			healthy}, "unset", []string{"gpu1"}, []string{"nvml gpu0: the driver gives no access", "dmesg"}},
		"another is named":   {[]func(*sim.Sensors){healthy, lost}, "0", []string{"gpu0"}, nil},
		"counted as by CUDA": {[]func(*sim.Sensors){lost, healthy, healthy}, "1", []string{"gpu2"}, nil},
		"named by its index": {[]func(*sim.Sensors){healthy, lost}, "0,1", []string{"gpu0"},
			[]string{"nvml gpu1: the driver has lost this GPU", "reboot"}},
		"another is named by its UUID": {[]func(*sim.Sensors){lost, healthy}, "GPU-51ed0001", []string{"gpu1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := severalGPUs(t, c.gpus...)
			cmd := s.command(t, "doctor", "--quick", "--json")
			cmd.Env = slices.DeleteFunc(cmd.Env,
				func(v string) bool { return strings.HasPrefix(v, "CUDA_VISIBLE_DEVICES=") })
			if c.visible != "unset" {
				cmd.Env = append(cmd.Env, "CUDA_VISIBLE_DEVICES="+c.visible)
			}
			out, err := cmd.Output()
			var r struct {
				Devices []struct {
					Device, Kind string
					Idle         *struct {
						CounterW *float64 `json:"counter_w"`
					}
				}
				Missing []struct{ Source, Message, Next string }
			}
			if json.Unmarshal(out, &r) != nil {
				t.Fatalf("%v; output:\n%s", err, out)
			}
			var devices, missing []string
			for _, d := range r.Devices {
				if d.Kind != "gpu" {
					continue
				}
				if devices = append(devices, d.Device); d.Idle == nil || d.Idle.CounterW == nil ||
					*d.Idle.CounterW < 70 {
					t.Errorf("%s: idle %+v, want 78 W", d.Device, d.Idle)
				}
			}
			for _, m := range r.Missing {
				if strings.HasPrefix(m.Source, "nvml") {
					missing = append(missing, m.Source+": "+m.Message, m.Next)
				}
			}
			if !slices.Equal(devices, c.devices) {
				t.Errorf("devices %v, want %v", devices, c.devices)
			}
			if !slices.EqualFunc(missing, c.missing, strings.Contains) {
				t.Errorf("missing %q, want %q", missing, c.missing)
			}
		})
	}
}

// TestDryRunWithABadGPU: the plan is made all the same.
func TestDryRunWithABadGPU(t *testing.T) {
	t.Parallel()
	s := severalGPUs(t, healthy, func(s *sim.Sensors) { s.Faults.LostAfter = time.Nanosecond })
	cmd := s.command(t)
	cmd.Args = append(cmd.Args, "--dry-run")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "no power sensor") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestRunWithABadGPU: the run on the other GPU has its energy, and the record names the
// bad one.
func TestRunWithABadGPU(t *testing.T) {
	t.Parallel()
	s := severalGPUs(t, func(s *sim.Sensors) { s.Faults.LostAfter = time.Nanosecond }, healthy)
	e := s.measured(t, s.start(t))
	if e.Status != "ok" || e.Energy.Total == nil || len(e.Energy.Devices) == 0 || e.Energy.Devices[0].Device != "gpu1" {
		t.Errorf("result %+v; output:\n%s", e, s.out.String())
	}
	if !slices.ContainsFunc(e.Energy.Missing, func(m struct{ Source, Message, Next string }) bool {
		return m.Source == "nvml gpu0" && strings.Contains(m.Message, "lost") && m.Next != ""
	}) {
		t.Errorf("missing %+v, want gpu0", e.Energy.Missing)
	}
}

// TestGPULostInTheWindow: the other GPU keeps its energy, the lost one has none for the
// driver's reason, and no part is shown as the whole.
func TestGPULostInTheWindow(t *testing.T) {
	t.Parallel()
	s := severalGPUs(t, healthy, healthy)
	cmd := s.start(t)
	waitFor(t, "the engine to run", func() bool { return s.file.Runs() > 0 })
	s.file.Sensors(1).Faults.LostAfter = time.Duration(clock.Mono()-s.file.Epoch()) + time.Second
	e := s.measured(t, cmd)
	if e.Energy.Total != nil || !strings.Contains(e.Energy.Reason, "gpu1: ") ||
		!strings.Contains(e.Energy.Reason, "GPU is lost") {
		t.Errorf("energy %+v, reason %q", e.Energy.Total, e.Energy.Reason)
	}
	for _, d := range e.Energy.Devices {
		switch {
		case d.Device == "gpu0" && (d.Energy == nil || d.Energy.Value <= 0 || d.Reason != ""):
			t.Errorf("gpu0 %+v, want its energy", d)
		case d.Device == "gpu1" && (d.Energy != nil || !strings.Contains(d.Reason, "GPU is lost")):
			t.Errorf("gpu1 %+v, want no energy and the driver's reason", d)
		}
	}
}

// TestAPartIsNotTheWhole: the engine uses a GPU that cannot be measured beside one that
// can be.
func TestAPartIsNotTheWhole(t *testing.T) {
	t.Parallel()
	s := severalGPUs(t, healthy, func(s *sim.Sensors) { s.MIG = 1 })
	e := s.measured(t, s.start(t))
	if e.Energy.Total != nil || !strings.Contains(e.Energy.Reason, s.file.UUID(1)) ||
		!strings.Contains(e.Energy.Reason, "MIG mode") {
		t.Errorf("energy %+v, reason %q", e.Energy.Total, e.Energy.Reason)
	}
}
