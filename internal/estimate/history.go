package estimate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/unit"
)

// Run is an earlier measurement, reduced to what estimates learn from it. Values that were not measured are 0.
type Run struct {
	Device    string // any name that [Lookup] finds
	Backend   string
	Attention string
	Format    Format
	Parallel  int
	// CacheBits and Exact are as in a [Setup].
	CacheBits float64
	Exact     string
	Model     shape.Config
	// Work is the work of the window: Prompts counts all requests, including repetitions.
	Work    Work
	Seconds float64      // of the window
	Energy  unit.Energy  // of the window, gross
	Peak    digits.Bytes // memory.peak_bytes
}

// correction holds factors on the roofline from earlier runs.
type correction struct {
	basis         string
	runs          int // runs that the time was learnt from
	time, energy  float64
	peak          float64
	peakRuns      int
	exact         bool
	seconds       Range // as factors
	joules        Range
	peakWidth     float64
	exactPeakMean bool
}

// ratios of measured to modelled values.
type ratios struct{ time, energy, peak []float64 }

// correctionFor looks for runs of the same configuration, and without one for runs of the same device, backend and
// format (and attention). The median of their ratios to the roofline corrects it, so that one outlier has no
// effect.
func correctionFor(s Setup, earlier []Run) correction {
	var exact, similar ratios
	for _, r := range earlier {
		same, like := s.compare(r)
		if !like {
			continue
		}
		similar.add(s, r)
		if same {
			exact.add(s, r)
		}
	}
	c := correction{basis: "roofline", time: 1, energy: 1, peak: 1, seconds: nominalRange, joules: nominalRange}
	if s.engine().fitted && (s.Device.Name == fittedDevice || s.Device.Host) {
		c.seconds, c.joules = fittedRange, fittedRange
	}
	use, typical := similar, median
	if len(exact.time) > 0 {
		use, typical, c.exact = exact, mean, true
	}
	if c.runs = len(use.time); c.runs > 0 {
		c.basis = fmt.Sprintf("roofline corrected by %s", digits.Count(c.runs, "run"))
		if c.exact {
			c.basis = fmt.Sprintf("history (%s)", digits.Count(c.runs, "run"))
		}
		c.time = typical(use.time)
		c.seconds = spread(use.time, c.time, c.exact)
		// Without a measured energy, the power is assumed to be as modelled.
		c.energy, c.joules = c.time, c.seconds
	}
	if len(use.energy) > 0 {
		c.energy = typical(use.energy)
		c.joules = spread(use.energy, c.energy, c.exact)
	}
	peaks := similar.peak
	if len(exact.peak) > 0 {
		peaks, c.exactPeakMean = exact.peak, true
	}
	if c.peakRuns = len(peaks); c.peakRuns > 0 {
		c.peak = median(peaks)
		c.peakWidth = fittedWidth
		if c.exactPeakMean {
			c.peak, c.peakWidth = mean(peaks), 0.01
		}
	}
	return c
}

// compare reports whether a run has the same configuration, and whether it has the same device, backend and
// format.
func (s Setup) compare(r Run) (same, like bool) {
	attention := func(a string) string {
		if a == "" && s.engine().memory == engine.MemoryTorch {
			return "sdpa"
		}
		return a
	}
	format := r.Format
	if format == "" {
		format = BF16
	}
	if !strings.EqualFold(r.Backend, s.Backend) || format != s.format() ||
		attention(r.Attention) != attention(s.Attention) ||
		max(1, r.Parallel) != s.devices() || r.CacheBits != s.CacheBits || !sameDevice(r.Device, s.Device) ||
		s.at(r).Validate() != nil {
		return false, false
	}
	w := s.Work
	same = r.Model == s.Model && r.Exact == s.Exact && min(r.Work.Batch, r.Work.Prompts) == s.batch() &&
		r.Work.Input == w.Input &&
		r.Work.Output == w.Output && r.Work.Padded == w.Padded
	return same, true
}

func sameDevice(name string, d Device) bool {
	if strings.EqualFold(name, d.Name) {
		return true
	}
	found, err := Lookup(name)
	return err == nil && found.Name == d.Name
}

// at returns the Setup of an earlier run, on this Setup's device.
func (s Setup) at(r Run) Setup {
	s.Model, s.Work, s.Around = r.Model, r.Work, Around{}
	s.Stored, _ = r.Model.StoredBytes()
	return s
}

// add compares a run with the model's prediction of it. The model knows how time grows with the number of prompts,
// so runs with more or fewer of them also count.
func (q *ratios) add(s Setup, r Run) {
	s = s.at(r)
	prefill, decode := s.once()
	all := prefill.plus(decode)
	ratio := func(measured, modelled float64) []float64 {
		if measured > 0 && modelled > 0 && !math.IsInf(measured/modelled, 0) {
			return []float64{measured / modelled}
		}
		return nil
	}
	q.time = append(q.time, ratio(r.Seconds, all.Seconds)...)
	q.energy = append(q.energy, ratio(r.Energy.Joules(), all.Energy.Joules())...)
	q.peak = append(q.peak, ratio(float64(r.Peak), float64(s.Memory().Total))...)
}

// apply corrects a phase.
func (c correction) apply(p Phase) Phase {
	return Phase{p.Seconds * c.time, unit.FromJoules(p.Energy.Joules() * c.energy), p.Bound}
}

// memory corrects the total and the values derived from it; the parts stay as modelled.
func (c correction) memory(m Memory) Memory {
	if c.peakRuns == 0 {
		return m
	}
	total := digits.Bytes(math.Round(float64(m.Total) * c.peak))
	more := total - m.Total
	m.Device += more
	m.Total = total
	// The difference that the shape does not explain is overhead; a part is never negative.
	for _, part := range []*digits.Bytes{&m.Overhead, &m.Activations, &m.KVCache, &m.Weights} {
		take := max(more, -*part)
		*part += take
		more -= take
	}
	m.Low = digits.Bytes(float64(total) * (1 - c.peakWidth))
	m.High = digits.Bytes(float64(total) * (1 + c.peakWidth))
	what := "similar runs"
	if c.exactPeakMean {
		what = "runs of this configuration"
	}
	m.Basis = fmt.Sprintf("%s; corrected by the peaks of %d %s", m.Basis, c.peakRuns, what)
	return m
}

// spread returns a rough interval around a typical ratio, as factors of it: the observed ratios, widened, and at
// least as wide as the differences between repeated runs of one configuration: in bench/results up to a third,
// from one hour to the next on virtual machines.
func spread(all []float64, typical float64, exact bool) Range {
	least := 0.35
	if exact {
		least = max(0.1, 0.35/math.Sqrt(float64(len(all))))
	}
	low, high := slices.Min(all)/typical, slices.Max(all)/typical
	return Range{min(1-least, 0.9*low), max(1+least, 1.1*high)}
}

func mean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
