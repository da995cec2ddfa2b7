package sensors

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// perfFound is an event to open.
type perfFound struct {
	device power.Device
	kind   uint32
	config uint64
	cpu    int
	scale  float64 // joules per count
}

// perfEvents are the events that become devices. Other events (cores, graphics, psys) overlap with them.
var perfEvents = []struct {
	name, device, label string
	kind                power.Kind
}{
	{"energy-pkg", "package-", "CPU package ", power.CPU},
	{"energy-ram", "dram-", "memory of CPU package ", power.DRAM},
}

// findPerf lists the events of each package, packages first.
func findPerf(opts roots) ([]perfFound, error) {
	root := filepath.Join(opts.sysfs(), "bus", "event_source", "devices", "power")
	number, err := readWord(filepath.Join(root, "type"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoPerf
	}
	broken := func(err error) error {
		return sensor.NoSensor("perf", "cannot parse the kernel's description of its energy events: "+err.Error(),
			"")
	}
	if err != nil {
		return nil, broken(err)
	}
	kind, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return nil, broken(fmt.Errorf("type: %w", err))
	}
	mask, err := readWord(filepath.Join(root, "cpumask"))
	if err != nil {
		return nil, broken(err)
	}
	cpus, err := parseCPUs(mask)
	if err != nil {
		return nil, broken(fmt.Errorf("cpumask: %w", err))
	}
	names := packageNames(opts, cpus)
	var found []perfFound
	var problems []error
	for _, e := range perfEvents {
		config, scale, err := perfEvent(filepath.Join(root, "events", e.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // desktop parts have no energy-ram, some have no energy event
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", e.name, err))
			continue
		}
		for i, cpu := range cpus {
			found = append(found, perfFound{kind: uint32(kind), config: config, cpu: cpu, scale: scale,
				device: power.Device{ID: e.device + names[i], Kind: e.kind, Name: e.label + names[i]}})
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(problems) > 0:
		return nil, broken(errors.Join(problems...))
	}
	return nil, errNoPerf
}

// errNoPerf is the reason if the kernel has no energy events.
var errNoPerf = sensor.NoSensor("perf", "the kernel has no energy events", "sudo modprobe rapl")

// perfEvent reads the number and scale of an event. The files contain "event=0x02",
// "2.3283064365386962890625e-10" and "Joules".
func perfEvent(path string) (config uint64, scale float64, err error) {
	text, err := readWord(path)
	if err != nil {
		return 0, 0, err
	}
	number, ok := strings.CutPrefix(text, "event=")
	if config, err = strconv.ParseUint(number, 0, 64); err != nil || !ok {
		return 0, 0, fmt.Errorf("%q is not an event number", text)
	}
	if text, err = readWord(path + ".scale"); err != nil {
		return 0, 0, hideNotExist(err)
	}
	if scale, err = strconv.ParseFloat(text, 64); err != nil || !(scale > 0) || math.IsInf(scale, 0) {
		return 0, 0, fmt.Errorf("%q is not a scale", text)
	}
	if text, err = readWord(path + ".unit"); err != nil || text != "Joules" {
		return 0, 0, fmt.Errorf("the unit is %q, not Joules", text)
	}
	return config, scale, nil
}

// hideNotExist hides the type of the error, so that a missing file is not taken for missing hardware.
func hideNotExist(err error) error { return errors.New(err.Error()) }

// packageNames names the package of each CPU as the powercap files do: "0", or "0-die-1" if the CPUs of a
// package represent its dies.
func packageNames(opts roots, cpus []int) []string {
	topology := func(cpu int, file string) string {
		s, err := readWord(filepath.Join(opts.sysfs(), "devices", "system", "cpu",
			fmt.Sprintf("cpu%d", cpu), "topology", file))
		if _, bad := strconv.ParseUint(s, 10, 32); err != nil || bad != nil {
			return ""
		}
		return s
	}
	packages := make([]string, len(cpus))
	count := make(map[string]int)
	for i, cpu := range cpus {
		packages[i] = topology(cpu, "physical_package_id")
		count[packages[i]]++
	}
	names := make([]string, len(cpus))
	for i, p := range packages {
		die := topology(cpus[i], "die_id")
		switch {
		case p != "" && count[p] == 1:
			names[i] = p
		case p != "" && die != "":
			names[i] = p + "-die-" + die
		default: // only the order of the mask is known
			names[i] = strconv.Itoa(i)
		}
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(names))); len(distinct) < len(names) {
		for i := range names {
			names[i] = strconv.Itoa(i)
		}
	}
	return names
}

// parseCPUs reads a list such as "0,28" or "0-1".
func parseCPUs(list string) ([]int, error) {
	const most = 4096
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || b < a || b-a >= most || len(cpus) >= most {
			return nil, fmt.Errorf("%q is not a list of CPUs", list)
		}
		for cpu := a; cpu <= b; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// readWord reads a short file of sysfs.
func readWord(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

// perfUnreadable explains why an event cannot be opened.
func perfUnreadable(opts roots, f perfFound, err error) power.Unavailable {
	u := sensor.NoSensor("perf "+f.device.ID, err.Error(), "")
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		u.Message = "no permission to open the kernel's energy events"
		if level, err := readWord(filepath.Join(opts.proc(), "sys", "kernel",
			"perf_event_paranoid")); err == nil {
			u.Message += " (kernel.perf_event_paranoid is " + level + ")"
		}
		u.Next = "sudo setcap cap_perfmon+ep \"$(command -v llem)\", or sudo sysctl kernel.perf_event_paranoid=0; " +
			"in a container, --cap-add PERFMON"
	case errors.Is(err, unix.ENOSYS):
		u.Message = "this kernel has no performance events, or the container blocks the call"
		u.Next = "in a container, --cap-add PERFMON"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EINVAL), errors.Is(err,
		unix.EOPNOTSUPP):
		u.Message = "the kernel lists the energy event but cannot open it: " + err.Error()
	case errors.Is(err, unix.EMFILE):
		u.Next = "raise the limit of open files (ulimit -n)"
	}
	return u
}
