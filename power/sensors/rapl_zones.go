package sensors

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// raplFound is a zone of the powercap tree to meter.
type raplFound struct {
	device power.Device
	dir    string
	wrap   uint64
}

// zoneDir matches the folders of zones: intel-rapl:0 is a package (or psys), intel-rapl:0:2 a part of it.
// intel-rapl-mmio is another way to read the same package.
var zoneDir = regexp.MustCompile(`^(intel-rapl(?:-mmio)?):(\d+)(?::(\d+))?$`)

// findZones lists packages and DRAM in the order of sockets. If a package can be read through MSRs and MMIO,
// MSRs are used.
func findZones(opts roots) ([]raplFound, error) {
	root := filepath.Join(opts.sysfs(), "class", "powercap")
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, sensor.NoSensor("rapl", err.Error(), "")
	}
	var names []string
	for _, e := range entries {
		if zoneDir.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	// "intel-rapl:" sorts after "intel-rapl-mmio:", hence by kind first.
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(kindOf(a), kindOf(b)), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	var found []raplFound
	packages := make(map[string]string) // zone folder → "0", or "0-die-1"
	named := 0
	for _, name := range names {
		dir := filepath.Join(root, name)
		label, err := os.ReadFile(filepath.Join(dir, "name"))
		if err != nil {
			continue
		}
		named++
		device, ok := zoneDevice(name, strings.TrimSpace(string(label)), packages)
		if !ok || slices.ContainsFunc(found, func(f raplFound) bool { return f.device.ID == device.ID }) {
			continue
		}
		found = append(found, raplFound{device: device, dir: dir, wrap: zoneRange(dir)})
	}
	if len(found) == 0 {
		return nil, noZones(opts, len(names), named)
	}
	return found, nil
}

func kindOf(zone string) int {
	if strings.HasPrefix(zone, "intel-rapl-mmio") {
		return 1
	}
	return 0
}

// zoneDevice returns the device of a zone, and whether to meter it. Parents come first.
func zoneDevice(dir, label string, packages map[string]string) (power.Device, bool) {
	parent := dir[:strings.LastIndexByte(dir, ':')]
	if number, ok := strings.CutPrefix(label, "package-"); ok {
		packages[dir] = number
		return power.Device{ID: label, Kind: power.CPU, Name: "CPU package " + number}, true
	}
	if number, ok := packages[parent]; ok && label == "dram" {
		return power.Device{ID: "dram-" + number, Kind: power.DRAM, Name: "memory of CPU package " + number}, true
	}
	return power.Device{}, false
}

// zoneRange returns the counter's maximum. Without it, a wrap-around looks like a reset.
func zoneRange(dir string) uint64 {
	b, err := os.ReadFile(filepath.Join(dir, "max_energy_range_uj"))
	if err != nil {
		return 0
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63)
	if err != nil {
		return 0
	}
	return v
}

// zoneUnreadable explains why a zone's counter cannot be read.
func zoneUnreadable(f raplFound, err error) power.Unavailable {
	u := sensor.NoSensor("rapl "+f.device.ID, err.Error(), "")
	if errors.Is(err, fs.ErrPermission) {
		u.Message = "only root can read " + f.dir + "/energy_uj"
		u.Next = "sudo chmod a+r /sys/class/powercap/intel-rapl*:*/energy_uj (until the next reboot; it lets " +
			"every local user read CPU power, which is a known side channel (PLATYPUS, CVE-2020-8694))"
	}
	return u
}

// noZones explains why the tree has no zones.
func noZones(opts roots, listed, named int) power.Unavailable {
	u := sensor.NoSensor("rapl", "", "")
	cpuinfo, err := os.ReadFile(filepath.Join(opts.proc(), "cpuinfo"))
	if err != nil {
		u.Message = "no RAPL zones, and cannot identify the processor: " + err.Error()
		return u
	}
	info := string(cpuinfo)
	x86 := strings.Contains(info, "GenuineIntel") || strings.Contains(info, "AuthenticAMD") ||
		strings.Contains(info, "HygonGenuine")
	switch {
	case listed > 0 && named == 0:
		u.Message = "the container runtime hides the RAPL zones"
		u.Next = "start the container with --security-opt systempaths=unconfined (docker) or " +
			"unmask=/sys/devices/virtual/powercap (podman)"
	case listed > 0:
		u.Message = "none of the RAPL zones is a CPU package"
	case hasFlag(info, "hypervisor"):
		u.Message = "this is a virtual machine without access to the host's RAPL"
		u.Next = "measure on the host; --estimate models the CPU instead"
	case x86:
		u.Message = "the kernel lists no RAPL zones: its module is not loaded"
		u.Next = "sudo modprobe intel_rapl_msr (AMD processors: Linux 5.11 or newer)"
	default:
		u.Message = "this processor has no RAPL"
	}
	return u
}

// hasFlag reports whether /proc/cpuinfo lists a CPU flag.
func hasFlag(cpuinfo, flag string) bool {
	for line := range strings.Lines(cpuinfo) {
		if strings.HasPrefix(line, "flags") {
			return slices.Contains(strings.Fields(line), flag)
		}
	}
	return false
}
