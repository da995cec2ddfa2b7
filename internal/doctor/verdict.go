package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/table"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
)

// Unfit reports whether nothing can be measured on this machine, or measurements cannot be trusted.
func (r *Report) Unfit() bool {
	for _, f := range r.Verdict {
		if f.Level == Fail {
			return true
		}
	}
	return false
}

func (r *Report) find(level Level, code note.Code, device, next, format string, args ...any) {
	r.Verdict = append(r.Verdict,
		Finding{level, device, note.Note{Code: code, Message: fmt.Sprintf(format, args...), Next: next}})
}

// partTimePct is the swing above which a counter is reported to measure only a part of its period. A counter
// that measures a quarter swings by 100 %.
const partTimePct = 25.0

// Limits of the difference between counter and series, in percent.
const (
	warnPct = 3.0
	failPct = 10.0
)

// judge derives the findings from the numbers.
func (r *Report) judge() {
	sensors := false
	for _, d := range r.Devices {
		sensors = sensors || !d.Modelled
	}
	if !sensors {
		r.find(Fail, codes.NoSensor, "", "make one of the sensors below readable, or model the CPU's power with "+
			"llem run --estimate",
			"no power or energy sensor can be read on this machine: energy will not be measured")
	}
	for _, d := range r.Devices {
		r.judgeDevice(d)
	}
	r.judgeKinds()
	r.judgeClient()
}

func (r *Report) judgeDevice(d *Device) {
	r.agreement(d, "idle", d.Idle)
	r.agreement(d, "under load", d.Steady)
	r.resolution(d)
	if q := d.Duty; q != nil {
		switch {
		case q.byPhase() && q.SwingPct > partTimePct:
			r.find(Warn, codes.PartTime, d.Device, "randomise arrivals and measure for 30 s or more",
				"the counter's energy for pulses in step with it varies by ±%.0f %% with their phase (±%.1f %% "+
					"out of step): it measures only a part of each period", q.SwingPct, q.ControlPct)
		case q.byPhase():
			r.find(Warn, codes.PartTime, d.Device, "randomise arrivals and measure for 30 s or more",
				"the counter's energy for pulses in step with it varies by ±%.1f %% with their phase (±%.1f %% "+
					"out of step): such loads are uncertain by as much, other loads average out", q.SwingPct,
				q.ControlPct)
		case q.SwingPct > 5 && q.SwingPct > 2*q.DoubtPct:
			r.find(Warn, codes.PartTime, d.Device, "",
				"the counter's energy for pulses in step with it varies by ±%.1f %%, but by "+
					"±%.1f %% out of step too: the load itself varies, and whether the counter measures its whole "+
					"period is not known more precisely", q.SwingPct, q.ControlPct)
		default:
			r.find(Good, codes.PartTime, d.Device, "",
				"the counter measures the whole time: its energy for pulses in step with it varies by ±%.1f %% "+
					"over %d phases (timing alone explains ±%.1f %%)", q.SwingPct, q.Phases, q.DoubtPct)
		}
	}
	if q := d.Polling; q != nil {
		r.polling(d.Device, q)
	}
	for _, c := range d.Calls {
		if c.Error == "" && c.Source == sensor.SourceEnergy && c.MedianUS > 500 {
			r.find(Good, codes.SlowRead, d.Device, "", "one read of the counter takes %.1f ms, so it is read rarely",
				c.MedianUS/1e3)
		}
	}
	r.ring(d)
	r.state(d)
}

// mostDisturbed is the largest change of a counter, in percent, that reading it often may cause.
const mostDisturbed = 2.0

// polling reports whether reading the counter disturbs it.
func (r *Report) polling(device string, q *Polling) {
	times, change := 20, q.ChangePct
	if f := q.FastestChangePct; f != nil && math.Abs(*f) > math.Abs(change) {
		times, change = 100, *f
	}
	if math.Abs(change) > mostDisturbed {
		r.find(Warn, codes.ReadDisturbs, device,
			"let nothing else read the counter during a measurement (monitoring, nvidia-smi in a "+
				"loop); llem reads it every 5 s",
			"reading the counter %d times a second instead of once changes it by %+.1f %%", times, change)
	}
}

// pollRing is the time between reads of the ring in a measurement, in seconds.
const pollRing = 1.0

// ring checks the depth of the driver's ring and the mapping of its stamps.
func (r *Report) ring(d *Device) {
	if q := d.Ring; q != nil && q.DepthS < 1.5*pollRing {
		r.find(Warn, codes.RingShort, d.Device, "",
			"the driver's ring holds only %.2g s and is read every %.0f s: samples may be lost, which is then "+
				"reported as gaps", q.DepthS, pollRing)
	}
	if q := d.Clock; q != nil && q.JitterUS > 1000 {
		r.find(Warn, codes.ClockJitter, d.Device, "wait until NTP has settled, or stop the program that sets the clock",
			"the wall clock jitters by %.1f ms against the monotonic clock: the sensor's stamps are "+
				"uncertain by as much", q.JitterUS/1e3)
	}
}

// state checks how the card is configured and who uses it.
func (r *Report) state(d *Device) {
	if n := len(d.Neighbours); n > 0 {
		r.find(Warn, codes.GPUShared, d.Device, "stop them, or choose another GPU with CUDA_VISIBLE_DEVICES",
			"other processes are on the GPU (%v): their power would be in every result", d.Neighbours)
	}
	// At full load, any card reaches its power limit, which is the limit's purpose.
	if d.Throttled&sensor.PowerCap != 0 {
		r.find(Good, codes.Throttled, d.Device, "", "the power limit reduced the clocks at full load, as intended")
	}
	if d.Throttled&^sensor.PowerCap != 0 {
		r.find(Warn, codes.Throttled, d.Device,
			fmt.Sprintf("check the cooling and the power supply (nvidia-smi -i %d -q -d PERFORMANCE)", d.index),
			"clocks were throttled during the test: %s; this affects results",
			strings.Join(throttleReasons(d.Throttled&^sensor.PowerCap), ", "))
	}
	if d.Persistence != nil && !*d.Persistence {
		r.find(Warn, codes.PersistenceOff, d.Device, fmt.Sprintf("sudo nvidia-smi -i %d -pm 1", d.index),
			"persistence mode is off: the counter restarts and the first calls are slow whenever nothing "+
				"uses the driver")
	}
	if d.PowerLimitW != nil && d.DefaultW != nil && *d.PowerLimitW < *d.DefaultW {
		r.find(Warn, codes.PowerLimit, d.Device,
			fmt.Sprintf("sudo nvidia-smi -i %d -pl %.0f, unless it is intended", d.index,
				*d.DefaultW), "the power limit is %.0f W, below the default of %.0f W: state it with the results",
			*d.PowerLimitW, *d.DefaultW)
	}
	if d.ECC != nil && !*d.ECC {
		r.find(Good, codes.ECCOff, d.Device, "",
			"ECC is off: memory is faster and larger than on the same card with ECC: state it with the results")
	}
}

// throttleReasons returns the names of the bits of a mask.
func throttleReasons(mask int64) []string {
	var out []string
	for _, q := range sensor.Slowdowns() {
		if mask&q.Bit != 0 {
			out = append(out, q.Name)
			mask &^= q.Bit
		}
	}
	if mask != 0 {
		out = append(out, fmt.Sprintf("reasons 0x%x", mask))
	}
	return out
}

// byPhase reports whether the swing exceeds chance. Three times the deviation of four controls is the 95 %
// limit for eight phases (F distribution, 7 and 3 degrees of freedom: 8.9).
func (q *Duty) byPhase() bool { return q.SwingPct > 2 && q.SwingPct > 3*q.ControlPct }

func (r *Report) agreement(d *Device, when string, a *Agreement) {
	switch {
	case a == nil:
	case a.DifferencePct == nil && a.SeriesW > 0:
		r.find(Warn, codes.Agreement, d.Device, "", "%s: %.1f W, only from the series (%s): %s", when, a.SeriesW,
			a.Series, a.Reason)
	case a.DifferencePct == nil:
		r.find(Fail, codes.Agreement, d.Device, "", "%s: no power: %s", when, a.Reason)
	case math.Abs(*a.DifferencePct) > failPct:
		r.find(Fail, codes.Agreement, d.Device,
			"reload the driver, or use an external meter instead of the card's sensors",
			"%s: counter %.1f W and series (%s) %.1f W differ by %.1f %%: neither can be trusted", when, *a.CounterW,
			a.Series, a.SeriesW, *a.DifferencePct)
	case math.Abs(*a.DifferencePct) > warnPct:
		r.find(Warn, codes.Agreement, d.Device, "", "%s: counter %.1f W and series (%s) %.1f W differ by %.1f %%",
			when, *a.CounterW,
			a.Series, a.SeriesW, *a.DifferencePct)
	default:
		r.find(Good, codes.Agreement, d.Device, "", "%s: counter %.1f W and series (%s) %.1f W agree (%+.2f %%)", when,
			*a.CounterW,
			a.Series, a.SeriesW, *a.DifferencePct)
	}
}

// resolution reports which windows and phases the device resolves. An edge with an uncertainty of δ makes a
// window of T uncertain by 0.80·δ/T (95 %).
func (r *Report) resolution(d *Device) {
	edge := d.edgeS
	if edge == 0 { // without a counter, the series decides
		for _, q := range d.Refresh {
			if q.Source == d.series {
				edge = q.MedianMS / 1e3
			}
		}
	}
	if edge > 0 {
		one, five := 0.80*edge/0.01, 0.80*edge/0.05
		d.For1PctS, d.For5PctS = &one, &five
		r.find(Good, codes.Resolution, d.Device, "",
			"a total is accurate to ±1 %% for windows of %s s or more, to ±5 %% from %s s (without the "+
				"sensor's gain)", digits.Significant(one, 2), digits.Significant(five, 2))
	}
	if s := d.Sensor; s != nil {
		// A phase of a quarter of the sensor's blur shows after a few dozen repetitions; see
		// docs/accuracy.md.
		blur := max(s.WindowMS+2*s.FilterMS, 4)
		shortest := math.Ceil(blur / 4)
		d.PhaseMS = &shortest
		r.find(Good, codes.Resolution, d.Device, "",
			"%s averages over %.0f ms after a filter of %.0f ms, %.0f ms late on average: phases of %.0f ms or "+
				"more are resolved if they repeat about 30 times, phases of %.0f ms or more in a few repetitions",
			s.Source, s.WindowMS, s.FilterMS, s.delay(), shortest, 2*blur)
	}
}

// Profiles returns the profiles for later measurements, by device.
func (r *Report) Profiles() map[string]*power.Profile {
	out := map[string]*power.Profile{}
	for _, d := range r.Devices {
		if d.Sensor == nil {
			continue
		}
		when := r.When
		if d.When != nil {
			when = *d.When
		}
		p := &power.Profile{Device: d.Device, UUID: d.UUID, Name: d.Name, When: when,
			Sources: []power.SourceProfile{d.Sensor.profile()}}
		for _, s := range d.Others {
			if !s.Energy { // its windows are the times between its updates
				p.Sources = append(p.Sources, s.profile())
			}
		}
		if d.For1PctS != nil {
			p.MinWindowS = *d.For1PctS
		}
		if d.Duty != nil {
			p.SwingPct = &d.Duty.SwingPct
		}
		out[d.Device] = p
	}
	return out
}

func (s *SensorKernel) profile() power.SourceProfile {
	return power.SourceProfile{Source: s.Source, WindowMS: &s.WindowMS, WindowSDMS: &s.WindowSDMS,
		FilterMS: &s.FilterMS, FilterSDMS: &s.FilterSDMS, LagMS: &s.LagMS, LagSDMS: &s.LagSDMS}
}

// rows returns the results for a device, each with its name.
func (d *Device) rows() [][]string {
	var out [][]string
	add := func(name, format string, args ...any) {
		out = append(out, []string{name, fmt.Sprintf(format, args...)})
	}
	for _, c := range d.Calls {
		if c.Error != "" {
			add(c.Call, "%s", c.Error)
			continue
		}
		add(c.Call, "%s per call%s", micro(c.MedianUS), refreshOf(d, c.Source))
	}
	if q := d.Ring; q != nil {
		add("ring", "%d entries, %.1f ms apart, %.2f s deep; the newest is %.0f ms old (at most %.0f)",
			q.Entries, q.SpacingMS, q.DepthS, q.AgeMS, q.AgeMaxMS)
	}
	if q := d.Clock; q != nil {
		add("wall clock of its stamps", "jitter %.2g µs (at most %.2g), drift %+.2g ppm, %d mappings",
			q.JitterUS, q.MaxUS, q.DriftPPM, q.Mappings)
	}
	if s := d.Sensor; s != nil {
		add("response of "+s.Source, "%s", s)
	}
	for _, s := range d.Others {
		add("response of "+s.Source, "%s", &s)
	}
	return out
}

// Text prints the report for a person.
func (r *Report) Text(w io.Writer) {
	for _, d := range r.Devices {
		fmt.Fprintf(w, "%s  %s\n", d.Device, strings.TrimSpace(d.Name+" "+d.UUID))
		_, rows := table.Table{Head: make([]string, 2), Rows: d.rows(), Names: 1, Text: true, Indent: 2}.Lines(0)
		for _, row := range rows {
			fmt.Fprintln(w, row)
		}
	}
	fmt.Fprintln(w, "\nVerdict")
	for _, f := range r.Verdict {
		text := f.Message
		if f.Device != "" {
			text = f.Device + ": " + text
		}
		fmt.Fprintf(w, "  %-4s  %s\n", f.Level, text)
		if f.Next != "" {
			fmt.Fprintf(w, "        next: %s\n", f.Next)
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "  skip  %s: %s\n", s.Test, s.Message)
		if s.Next != "" {
			fmt.Fprintf(w, "        next: %s\n", s.Next)
		}
	}
	if len(r.Missing) > 0 {
		fmt.Fprintln(w, "\nSensors that cannot be read")
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, "  %s: %s\n", m.Source, m.Message)
		fmt.Fprintf(w, "        next: %s\n", cmp.Or(m.Next, noNext))
	}
}

// noNext is the next step for a sensor whose reason names none.
const noNext = "no step is known to help: use another sensor, or llem run --estimate to model the CPU's power"

// delay returns the average delay of the values after the power, in ms.
func (s *SensorKernel) delay() float64 { return s.LagMS + s.FilterMS + s.WindowMS/2 }

func (s *SensorKernel) String() string {
	return fmt.Sprintf("window %.0f ± %.0f ms, filter %.0f ± %.0f ms, mean delay %.0f ms (%.0f to %.0f W)",
		s.WindowMS, 2*s.WindowSDMS, s.FilterMS, 2*s.FilterSDMS, s.delay(), s.LowW, s.HighW)
}

func micro(us float64) string {
	if us >= 1000 {
		return fmt.Sprintf("%7.2f ms", us/1e3)
	}
	return fmt.Sprintf("%7.2f µs", us)
}

func refreshOf(d *Device, source string) string {
	for _, r := range d.Refresh {
		if r.Source == source {
			return fmt.Sprintf(", a new value every %.0f ms (%.0f to %.0f)", r.MedianMS, r.P10MS, r.P90MS)
		}
	}
	return ""
}

// JSON writes the report as one document.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
