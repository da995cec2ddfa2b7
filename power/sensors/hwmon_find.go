package sensors

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// card is a graphics card as the kernel lists it.
type card struct {
	vendor string // as in sysfs: 0x1002
	pci    string // address, or the card's name if there is none
	dir    string // folder of the device
	index  int    // position among the cards of its vendor
}

// PCI vendor IDs.
const (
	vendorAMD   = "0x1002"
	vendorIntel = "0x8086"
)

// integrated is the PCI address of Intel's integrated graphics, which RAPL counts as part of the package.
const integrated = "0000:00:02.0"

// cardName excludes connectors (card0-DP-1) and render nodes.
var cardName = regexp.MustCompile(`^card\d+$`)

// findCards lists the cards of AMD and Intel in the order of PCI addresses. Unlike the kernel's numbers, this
// order does not depend on discovery.
func findCards(sysfs string) []card {
	root := filepath.Join(sysfs, "class", "drm")
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil // no graphics driver
	}
	var cards []card
	for _, e := range entries {
		if !cardName.MatchString(e.Name()) {
			continue
		}
		dir := filepath.Join(root, e.Name(), "device")
		vendor, err := readWord(filepath.Join(dir, "vendor"))
		if err != nil || (vendor != vendorAMD && vendor != vendorIntel) {
			continue
		}
		cards = append(cards, card{vendor: vendor, pci: pciAddress(dir, e.Name()), dir: dir})
	}
	slices.SortFunc(cards, func(a, b card) int {
		return cmp.Or(strings.Compare(a.vendor, b.vendor), cmp.Compare(len(a.pci), len(b.pci)),
			strings.Compare(a.pci, b.pci))
	})
	for i := range cards {
		if i > 0 && cards[i-1].vendor == cards[i].vendor {
			cards[i].index = cards[i-1].index + 1
		}
	}
	return cards
}

// pciAddress returns the PCI slot of the device, or the fallback.
func pciAddress(dir, fallback string) string {
	text, err := os.ReadFile(filepath.Join(dir, "uevent"))
	if err != nil {
		return fallback
	}
	for line := range strings.Lines(string(text)) {
		if slot, ok := strings.CutPrefix(strings.TrimSpace(line), "PCI_SLOT_NAME="); ok {
			return slot
		}
	}
	return fallback
}

// addCard adds the card's sensor, or records why it has none.
func (m *hwmonMeter) addCard(c card) {
	if c.vendor == vendorAMD {
		m.addAMD(c)
		return
	}
	m.addIntel(c)
}

func (m *hwmonMeter) addAMD(c card) {
	d := power.Device{ID: fmt.Sprintf("amd%d", c.index), Kind: power.GPU, Scope: sensor.ScopeGPU, UUID: c.pci,
		Name: c.name("AMD GPU")}
	if id, err := readWord(filepath.Join(c.dir, "unique_id")); err == nil && id != "" {
		d.UUID = "GPU-" + id // the format of ROCm
	}
	if isAPU(c.dir) {
		d.Kind, d.Scope = power.Module, sensor.ScopeModule
		d.Name += " (APU: its power includes the processor)"
	}
	var errs []error
	for _, h := range monitors(c.dir, "amdgpu") {
		for _, file := range []struct{ name, source string }{
			{"power1_average", sensor.SourceAMDAverage}, {"power1_input", sensor.SourceAMDInput},
		} {
			err := m.addGauge(d, file.source, filepath.Join(h, file.name), 0)
			if err == nil {
				return
			}
			errs = append(errs, err)
		}
	}
	m.missing = append(m.missing, hwmonUnreadable(d, errs,
		"the amdgpu driver offers no power sensor: it is not loaded, or this is a virtual function",
		"sudo modprobe amdgpu; in a virtual machine, measure on the host"))
}

// isAPU reads the header of the metrics table: format 1 belongs to cards, 2 and 3 to processors with graphics
// (kgd_pp_interface.h). The rest of the table, with its energy accumulator, is not read, because layout and
// units differ between parts.
func isAPU(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "gpu_metrics"))
	if err != nil {
		return false
	}
	defer f.Close()
	var header [4]byte // size (2 bytes), format, content
	n, err := f.Read(header[:])
	return err == nil && n == len(header) && (header[2] == 2 || header[2] == 3)
}

func (m *hwmonMeter) addIntel(c card) {
	d := power.Device{ID: fmt.Sprintf("intel%d", c.index), Kind: power.GPU, Scope: sensor.ScopeGPU, UUID: c.pci,
		Name: c.name("Intel GPU")}
	var errs []error
	for _, file := range []struct{ driver, name, source string }{
		{"i915", "energy1_input", sensor.SourceI915}, {"xe", "energy1_input", sensor.SourceXe}, {"xe", "energy2_input",
			sensor.SourceXePackage},
	} {
		for _, h := range monitors(c.dir, file.driver) {
			err := m.addCounter(d, file.source, filepath.Join(h, file.name))
			if err == nil {
				if file.source == sensor.SourceXePackage {
					m.warnings.Warn(codes.Sensor,
						d.ID+" has a counter of the GPU package only; the card's memory and voltage regulators "+
							"are not included")
				}
				return
			}
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 && c.pci == integrated {
		return
	}
	m.missing = append(m.missing, hwmonUnreadable(d, errs,
		"the kernel offers no energy counter for this GPU", "i915 needs Linux 6.2 or newer, xe 6.5 or newer"))
}

// name returns the product name, or the name on the PCI bus.
func (c card) name(fallback string) string {
	if s, err := readWord(filepath.Join(c.dir, "product_name")); err == nil && s != "" {
		return s
	}
	if s, err := readWord(filepath.Join(c.dir, "device")); err == nil && s != "" {
		return fallback + " " + s
	}
	return fallback + " " + c.pci
}

// monitors lists the folders of a driver's monitors of a device, lowest number first.
func monitors(dir, driver string) []string {
	var found []string
	for _, h := range numbered(filepath.Join(dir, "hwmon")) {
		if name, err := readWord(filepath.Join(h, "name")); err == nil && name == driver {
			found = append(found, h)
		}
	}
	return found
}

// numbered lists hwmon0, hwmon1, … in numerical order.
func numbered(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		if n, ok := strings.CutPrefix(e.Name(), "hwmon"); ok && n != "" {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return found
}

// hwmonUnreadable explains why a device is missing. A file that cannot be read explains more than one that
// does not exist.
func hwmonUnreadable(d power.Device, errs []error, absent, fix string) power.Unavailable {
	u := sensor.NoSensor("hwmon "+d.ID, absent, fix)
	for _, err := range errs {
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		u.Message, u.Next = err.Error(), ""
		if p, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrPermission) {
			u.Next = "sudo chmod a+r " + p.Path
		}
		break
	}
	return u
}

// graceLabel matches the firmware's names for the parts of a Grace module.
var graceLabel = regexp.MustCompile(`(?i)^(module|grace|cpu) power socket (\d+)$`)

// graceSensor is the power meter of one part.
type graceSensor struct{ part, socket, dir string }

// addGrace adds the CPU and the module of each socket. The parts nest: the module contains the Grace socket
// and, on a superchip, the GPU; the Grace socket contains the CPU cores and the I/O. One part per socket
// counts as CPU: the socket, or the cores if the socket is not reported.
func (m *hwmonMeter) addGrace(sysfs, proc string) {
	sensors := findGrace(sysfs)
	var counted []string
	for _, part := range []string{"grace", "cpu", "module"} {
		for _, s := range sensors {
			if s.part != part || (part == "cpu" && slices.Contains(counted, s.socket)) {
				continue
			}
			d := power.Device{ID: "grace-cpu-" + s.socket, Kind: power.CPU, Name: "Grace socket " + s.socket}
			switch part {
			case "cpu":
				d.Name = "CPU cores of Grace socket " + s.socket
			case "module":
				d.ID, d.Kind, d.Scope, d.Name = "grace-module-"+
					s.socket, power.Module, sensor.ScopeModule, "module of Grace socket "+s.socket
			}
			if err := m.addGauge(d, sensor.SourceGrace, filepath.Join(s.dir, "power1_average"),
				graceWindow(s.dir)); err != nil {
				m.missing = append(m.missing,
					hwmonUnreadable(d, []error{err}, "the power meter has no value", graceFix))
				continue
			}
			if part != "module" {
				counted = append(counted, s.socket)
			}
		}
	}
	if len(sensors) == 0 && maybeGrace(proc) {
		m.missing = append(m.missing,
			sensor.NoSensor("hwmon grace-cpu-0", "the kernel lists no ACPI power meter of a Grace module",
				"if this is a Grace processor: "+
					graceFix))
	}
}

const graceFix = "sudo modprobe acpi_power_meter force_cap_on=y (kernel option CONFIG_SENSORS_ACPI_POWER)"

// findGrace lists the labelled power meters. Their files are in the monitor's folder, or in the device's
// folder on older kernels.
func findGrace(sysfs string) []graceSensor {
	var found []graceSensor
	for _, h := range numbered(filepath.Join(sysfs, "class", "hwmon")) {
		for _, dir := range []string{h, filepath.Join(h, "device")} {
			label, err := readWord(filepath.Join(dir, "power1_oem_info"))
			if parts := graceLabel.FindStringSubmatch(label); err == nil && parts != nil {
				s := graceSensor{strings.ToLower(parts[1]), parts[2], dir}
				if !slices.ContainsFunc(found,
					func(f graceSensor) bool { return f.part == s.part && f.socket == s.socket }) {
					found = append(found, s)
				}
				break
			}
		}
	}
	return found
}

// graceWindow returns the averaging time that the firmware reports in milliseconds.
func graceWindow(dir string) time.Duration {
	const most = 60_000
	text, err := readWord(filepath.Join(dir, "power1_average_interval"))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > most {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// maybeGrace recognises the core by its part number: Arm's 0xd4f is Neoverse V2, which Grace shares with
// processors of cloud providers.
func maybeGrace(proc string) bool {
	info, err := os.ReadFile(filepath.Join(proc, "cpuinfo"))
	return err == nil && strings.Contains(string(info), "CPU implementer") && strings.Contains(string(info), "0xd4f")
}
