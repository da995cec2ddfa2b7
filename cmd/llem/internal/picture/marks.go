package picture

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// maxMarks is the number of marks of a run; later ones are left out.
const maxMarks = 200

// timeline holds what happened in the window of a run, in seconds from its start.
type timeline struct {
	start   int64
	length  float64
	counted map[string]string // source of the power of each counted device
	marks   []figure.Doubt
}

func (l *timeline) seconds(ns int64) float64 { return float64(ns-l.start) / 1e9 }

// mark adds what happened from one instant to another, if that is in the window. It extends a mark of the same kind
// that it meets.
func (l *timeline) mark(code note.Code, from, to float64, what string) {
	from, to = max(0, from), min(l.length, to)
	if to < from || from > l.length {
		return
	}
	for i, m := range l.marks {
		if m.Code == string(code) && m.Label == what && from <= m.To && to >= m.From {
			l.marks[i].From, l.marks[i].To = min(m.From, from), max(m.To, to)
			return
		}
	}
	if len(l.marks) < maxMarks {
		l.marks = append(l.marks, figure.Doubt{From: from, To: to, Code: string(code), Label: what})
	}
}

// doubts marks everything of a run whose time is recorded.
func (l *timeline) doubts(r *result.Record, raw series.All) []figure.Doubt {
	if r.Harness != nil {
		for _, g := range r.Harness.Gaps {
			l.mark(codes.SeriesGaps, l.seconds(g.StartNS), l.seconds(g.EndNS), g.Device+": "+g.Reason)
		}
	}
	for _, d := range r.Energy.Devices {
		if d.Counted {
			l.gaps(d, raw.Power)
			l.tenants(r, d)
		}
	}
	l.throttling(raw.Telemetry)
	for _, q := range raw.Requests {
		switch {
		case !q.OK:
			l.mark(codes.RequestsFailed, l.seconds(q.SubmittedNS), l.seconds(q.EndNS), "a request failed: "+q.Failure)
		case q.FirstUse:
			l.mark(codes.FirstUse, l.seconds(q.PrefillStartNS), l.seconds(q.EndNS),
				"a shape was used for the first time")
		}
	}
	slices.SortStableFunc(l.marks, func(a, b figure.Doubt) int { return cmp.Compare(a.From, b.From) })
	return l.marks
}

// gaps marks the longest distances of the readings of a device, as many as its record counts as gaps.
func (l *timeline) gaps(d result.Device, readings []series.Power) {
	if d.Series == nil || d.Series.Gaps == 0 {
		return
	}
	var times []int64
	for _, p := range readings {
		if p.Device == d.Device && p.Source == d.Series.Source {
			times = append(times, p.MonoNS)
		}
	}
	slices.Sort(times)
	var longest [][2]int64
	for i := 1; i < len(times); i++ {
		if l.seconds(times[i]) >= 0 && l.seconds(times[i-1]) <= l.length {
			longest = append(longest, [2]int64{times[i-1], times[i]})
		}
	}
	slices.SortStableFunc(longest, func(a, b [2]int64) int { return cmp.Compare(b[1]-b[0], a[1]-a[0]) })
	for _, g := range longest[:min(d.Series.Gaps, len(longest))] {
		from, to := l.seconds(g[0]), l.seconds(g[1])
		known := slices.ContainsFunc(l.marks, func(m figure.Doubt) bool {
			return m.Code == string(codes.SeriesGaps) && m.From <= to && m.To >= from
		})
		if !known {
			l.mark(codes.SeriesGaps, from, to, d.Device+": no readings")
		}
	}
}

// tenants marks the processes of others on a device.
func (l *timeline) tenants(r *result.Record, d result.Device) {
	code := codes.GPUShared
	for _, c := range []note.Code{codes.GPUForeignWork, codes.GPUSharedAllowed} {
		if _, ok := r.Warnings.Find(c); ok {
			code = c
			break
		}
	}
	if _, ok := r.Warnings.Find(code); !ok {
		return
	}
	for _, t := range d.Others {
		if t.ToS >= 0 {
			l.mark(code, t.FromS, t.ToS, fmt.Sprintf("%s: process %d of others", d.Device, t.PID))
		}
	}
}

// throttling marks when the clocks of counted GPUs were slowed down: from a sample that reports it to the next one.
func (l *timeline) throttling(rows []series.Telemetry) {
	rows = l.telemetry(rows)
	for i, t := range rows {
		if t.Throttle == nil {
			continue
		}
		end := t.MonoNS
		for _, next := range rows[i+1:] {
			if next.Device == t.Device {
				end = next.MonoNS
				break
			}
		}
		for _, s := range sensor.Slowdowns() {
			if *t.Throttle&s.Bit == 0 {
				continue
			}
			code := codes.Throttled
			if s.Bit == sensor.PowerCap {
				code = codes.PowerCapped
			}
			l.mark(code, l.seconds(t.MonoNS), l.seconds(end), t.Device+": "+s.Name)
		}
	}
}

// telemetry returns the samples of the counted devices around the window, by time.
func (l *timeline) telemetry(rows []series.Telemetry) []series.Telemetry {
	var out []series.Telemetry
	for _, t := range rows {
		at := l.seconds(t.MonoNS)
		if _, ok := l.counted[t.Device]; ok && at >= -margin*l.length && at <= (1+margin)*l.length {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b series.Telemetry) int { return cmp.Compare(a.MonoNS, b.MonoNS) })
	return out
}

// tracks are the temperature of the hottest counted GPU and the clock of the slowest.
func (l *timeline) tracks(rows []series.Telemetry) []figure.Track {
	rows = l.telemetry(rows)
	of := func(label, unit string, value func(series.Telemetry) *float64,
		worse func(a, b float64) float64) figure.Track {
		t, latest := figure.Track{Label: label, Unit: unit}, map[string]float64{}
		for _, row := range rows {
			v := value(row)
			if v == nil {
				continue
			}
			latest[row.Device] = *v
			worst := *v
			for _, w := range latest {
				worst = worse(worst, w)
			}
			t.T, t.V = append(t.T, l.seconds(row.MonoNS)), append(t.V, worst)
		}
		return t
	}
	all := []figure.Track{
		of("temperature", "°C", func(t series.Telemetry) *float64 { return t.TemperatureC },
			func(a, b float64) float64 { return max(a, b) }),
		of("clock", "MHz", func(t series.Telemetry) *float64 { return t.SMClockMHz },
			func(a, b float64) float64 { return min(a, b) }),
	}
	return slices.DeleteFunc(all, func(t figure.Track) bool { return len(t.T) < 2 })
}
