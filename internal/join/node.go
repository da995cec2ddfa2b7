package join

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// Limits for a meter of the whole machine, in seconds and as fractions.
const (
	// frozenAfter is how long a value may stay constant while the power of the counted devices changes.
	frozenAfter = 10.0
	// frozenSwing is the relative change of their power from which that is suspicious.
	frozenSwing = 0.10
	// nodeWindow is the shortest window for such a meter if its refresh period is unknown, and nodeRefreshes
	// the number of its longest constant intervals otherwise.
	nodeWindow, nodeRefreshes = 60.0, 20.0
)

// node fills in the energy of the whole machine by its meter, beside the energy of the devices that ran the
// model. It includes them, so it is never added. It comes last, because it compares them.
func (j *join) node(all []*deviceEnergy, tokens result.Tokens) {
	e := &j.record.Energy
	var meters []*deviceEnergy
	var names []string
	for _, d := range all {
		if d.device.Kind == power.Remote && d.device.UUID == "" && d.device.Scope == "" {
			meters, names = append(meters, d), append(names, d.device.ID)
		}
	}
	switch {
	case len(meters) == 0:
		return
	case len(meters) > 1:
		e.NodeReason = fmt.Sprintf(
			"%d meters are read over the network (%s), and which of them measures the whole machine is "+
				"unknown: keep one in energy.remote", len(meters), strings.Join(names, ", "))
		return
	}
	m := meters[0]
	if m.err != nil {
		e.NodeReason = fmt.Sprintf("%s: %v", m.device.ID, m.err)
		return
	}
	seconds := j.Window.Duration().Seconds()
	longest, frozen := j.standsStill(m, all)
	if frozen != "" {
		e.NodeReason = m.device.ID + " " + frozen + ": the meter is frozen and not used"
		j.warn(codes.NodeFrozen, e.NodeReason)
		return
	}
	needs := nodeWindow
	if longest > 0 {
		needs = nodeRefreshes * longest
	}
	e.NodeMinWindowS = &needs
	if seconds < needs {
		j.warn(codes.NodeShortWindow,
			fmt.Sprintf("the window of %s is short for %s, which needs %s: the energy of the machine "+
				"comes from few of its values; set energy.min_window", digits.SI(seconds, "s"), m.device.ID,
				digits.SI(math.Ceil(needs), "s")))
	}
	s := addUp(meters)
	e.NodeJ, e.NodeW = s.times(1), s.times(1/seconds)
	if n := float64(tokens.Output); n > 0 && e.Scope != scopeBoard {
		e.NodePerOutputTokenJ = s.times(1 / n)
	}
	if e.TotalJ != nil && e.Provenance == result.Measured {
		e.NodeOverheadJ = less(*e.NodeJ, *e.TotalJ)
	}
}

// less returns the difference of two energies from different sensors: their intervals and gains add in
// quadrature.
func less(a, b result.Quantity) *result.Quantity {
	half := func(q result.Quantity) float64 { return (q.CI95[1] - q.CI95[0]) / 2 }
	v, h := a.Value-b.Value, math.Hypot(half(a), half(b))
	return &result.Quantity{Value: v, CI95: [2]float64{v - h, v + h}, Gain95: math.Hypot(a.Gain95, b.Gain95),
		Method: "energy of the machine less total_j", Source: a.Source + ", " + b.Source}
}

// standsStill returns the longest time in seconds for which a series has one value between two others in the
// window, 0 if unknown, and how it was frozen while the counted devices changed. A counter in steps of
// kilojoules is constant most of the time, so only power values are checked.
func (j *join) standsStill(m *deviceEnergy, all []*deviceEnergy) (longest float64, frozen string) {
	if m.counter {
		return 0, ""
	}
	samples := slices.DeleteFunc(slices.Clone(m.samples), func(s power.Sample) bool {
		return s.MonoNS < j.Window.Start || s.MonoNS > j.Window.End
	})
	for i := 0; i < len(samples); {
		k := i
		for k < len(samples) && samples[k].Power == samples[i].Power {
			k++
		}
		to := j.Window.End
		if k < len(samples) {
			to = samples[k].MonoNS
		}
		stood := float64(to-samples[i].MonoNS) / 1e9
		if swing := swingOf(all, samples[i].MonoNS, to); stood > frozenAfter && swing > frozenSwing {
			return 0, fmt.Sprintf("showed %s for %s while the power of the counted devices changed by %.0f %%",
				digits.SI(float64(samples[i].Power), "W"), digits.SI(stood, "s"), 100*swing)
		}
		if i > 0 && k < len(samples) {
			longest = max(longest, stood)
		}
		i = k
	}
	return longest, ""
}

// swingOf returns the relative change of the counted devices' power in an interval, between means over tenths
// of it, so that steps of an engine do not count.
func swingOf(all []*deviceEnergy, from, to int64) float64 {
	const parts = 10
	var sums, counts [parts]float64
	for _, d := range all {
		if !d.counted {
			continue
		}
		for _, s := range d.samples {
			if s.MonoNS >= from && s.MonoNS < to {
				i := (s.MonoNS - from) * parts / (to - from)
				sums[i] += float64(s.Power)
				counts[i]++
			}
		}
	}
	low, high, sum := math.Inf(1), math.Inf(-1), 0.0
	for i := range sums {
		if counts[i] == 0 {
			return 0
		}
		v := sums[i] / counts[i]
		low, high, sum = min(low, v), max(high, v), sum+v
	}
	if sum <= 0 {
		return 0
	}
	return (high - low) / (sum / parts)
}
