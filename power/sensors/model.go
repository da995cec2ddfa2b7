package sensors

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// Constants of the CPU power model.
const (
	// modelIdleShare is the assumed idle power, as a fraction of the thermal design power.
	modelIdleShare = 0.25
	// modelUncertainty is the relative uncertainty of a modelled power. At equal utilisation, scalar and
	// vector code differ by more than a factor of two, and a TDP is a cooling limit, not a measurement.
	modelUncertainty = 0.5
	// modelWattsPerCore is the value for a processor that is not in the table.
	modelWattsPerCore unit.Watts = 8

	modelInterval = 500 * time.Millisecond
)

// cpuModel estimates CPU power if no sensor can be read and the user asked for an estimate. The formula is
//
//	P = cores × TDP per core × (idle + (1 − idle) × utilisation)
//
// with the cores that this process may use, their utilisation by all processes from /proc/stat, idle =
// [modelIdleShare], and the TDP per core from a table of processors. There is no counter: a sum of modelled
// values is not a measurement.
type cpuModel struct {
	device  power.Device
	stat    string
	cpus    map[int]bool // logical CPUs to count; nil means all
	cores   float64
	perCore unit.Watts
	origin  string // the source of perCore
	clocks  power.Clocks

	lastNS      int64
	busy, total uint64
}

// modelOptions select what to model.
type modelOptions struct {
	ProcRoot string // "" means /proc
	// CPUs are the logical processors to count; nil means the processors that this process may use.
	CPUs []int
}

// openModel reads the processor's name and load. The error is a [power.Unavailable].
func openModel(opts modelOptions, c power.Clocks) (*cpuModel, error) {
	root := cmp.Or(opts.ProcRoot, "/proc")
	if opts.CPUs == nil {
		opts.CPUs = usableCPUs()
	}
	m := &cpuModel{stat: filepath.Join(root, "stat"), clocks: c}
	if opts.CPUs != nil {
		m.cpus = make(map[int]bool, len(opts.CPUs))
		for _, i := range opts.CPUs {
			m.cpus[i] = true
		}
	}
	info, err := os.ReadFile(filepath.Join(root, "cpuinfo"))
	if err != nil {
		return nil, sensor.NoSensor("model", "cannot identify the processor: "+err.Error(), "")
	}
	busy, total, counted, err := m.load()
	if err != nil {
		return nil, sensor.NoSensor("model", "cannot read the load of the processor: "+err.Error(), "")
	}
	m.busy, m.total, m.lastNS = busy, total, c.Mono()
	cpu := parseCPUInfo(info)
	m.cores = float64(counted) / float64(cpu.threadsPerCore)
	m.perCore, m.origin = tdpPerCore(cpu.name)
	m.device = power.Device{ID: "cpu", Kind: power.CPU, Name: cmp.Or(cpu.name, "unknown processor"), Modelled: true}
	return m, nil
}

// usableCPUs lists the processors that this process may use; nil if unknown.
func usableCPUs() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var list []int
	for i := range 64 * len(set) {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list
}

// Name returns "model".
func (m *cpuModel) Name() string { return "model" }

// Devices returns the modelled processor.
func (m *cpuModel) Devices() []power.Device { return []power.Device{m.device} }

// Interval returns half a second: /proc/stat counts in hundredths of a second.
func (m *cpuModel) Interval() time.Duration { return modelInterval }

// Description returns formula, constants and uncertainty, for the result.
func (m *cpuModel) Description() string {
	return fmt.Sprintf("modelled, not measured: P = %g cores × %.3g W × (%g + %g × utilisation of these cores); "+
		"%.3g W per core is %s; uncertainty ±%.0f %%",
		m.cores, float64(m.perCore), modelIdleShare, 1-modelIdleShare, float64(m.perCore), m.origin,
		100*modelUncertainty)
}

// Warnings returns a note with the description.
func (m *cpuModel) Warnings() note.List {
	return note.List{{Code: codes.Sensor, Message: "cpu power is " + m.Description()}}
}

// Poll appends the mean modelled power since the previous poll.
func (m *cpuModel) Poll(ctx context.Context, t *power.Trace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	busy, total, _, err := m.load()
	if err != nil {
		return fmt.Errorf("cpu: %w", err)
	}
	now := m.clocks.Anchor()
	if total <= m.total || now.MonoNS <= m.lastNS || busy < m.busy {
		return nil // less than one tick has passed; the next poll covers it
	}
	share := float64(busy-m.busy) / float64(total-m.total)
	t.Samples = append(t.Samples, power.Sample{
		MonoNS: now.MonoNS, UnixNS: now.UnixNS, Device: m.device.ID, Source: sensor.SourceModel,
		Power: m.power(share), Window: time.Duration(now.MonoNS - m.lastNS),
	})
	m.busy, m.total, m.lastNS = busy, total, now.MonoNS
	return nil
}

// power is the formula.
func (m *cpuModel) power(utilisation float64) unit.Watts {
	return unit.Watts(m.cores) * m.perCore * unit.Watts(modelIdleShare+(1-modelIdleShare)*min(utilisation, 1))
}

// Counters returns none.
func (m *cpuModel) Counters(context.Context) ([]power.Reading, error) { return nil, nil }

// Close does nothing.
func (m *cpuModel) Close() error { return nil }

// load sums the ticks of the counted processors: busy, total, and the number of processors. Lines are "cpu3
// user nice system idle iowait irq softirq steal guest guest_nice"; user and nice include the guest times
// (proc(5)).
func (m *cpuModel) load() (busy, total uint64, counted int, err error) {
	stat, err := os.ReadFile(m.stat)
	if err != nil {
		return 0, 0, 0, err
	}
	for line := range bytes.Lines(stat) {
		name, rest, _ := strings.Cut(string(line), " ")
		number, isCPU := strings.CutPrefix(name, "cpu")
		if !isCPU {
			break // cpu lines come first
		}
		index, err := strconv.Atoi(number)
		if err != nil || (m.cpus != nil && !m.cpus[index]) {
			continue // the line of all processors, or a processor that is not counted
		}
		counted++
		for i, field := range strings.Fields(rest) {
			ticks, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				return 0, 0, 0, fmt.Errorf("%s: %w", m.stat, err)
			}
			const idle, iowait, steal, guest = 3, 4, 7, 8
			if i >= guest {
				break
			}
			total += ticks
			if i != idle && i != iowait && i != steal {
				busy += ticks
			}
		}
	}
	if counted == 0 {
		return 0, 0, 0, fmt.Errorf("%s lists no processor that this process may use", m.stat)
	}
	return busy, total, counted, nil
}

// cpuInfo has the values of /proc/cpuinfo that the model needs.
type cpuInfo struct {
	name           string
	threadsPerCore int
}

func parseCPUInfo(b []byte) cpuInfo {
	info := cpuInfo{threadsPerCore: 1}
	siblings, cores := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "model name":
			info.name = value
		case "siblings":
			siblings, _ = strconv.Atoi(value) // 0 if unreadable: one thread per core
		case "cpu cores":
			cores, _ = strconv.Atoi(value)
		}
		if info.name != "" && siblings > 0 && cores > 0 {
			break
		}
	}
	if cores > 0 && siblings > cores {
		info.threadsPerCore = siblings / cores
	}
	return info
}
