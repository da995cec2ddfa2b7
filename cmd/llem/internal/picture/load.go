package picture

import (
	"math"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/loadline"
	"github.com/llenergymeasure/llem/result"
)

// Charts of studies with loads.
const (
	// LoadChart is the kind of the chart of power, or another metric, over the rate of requests.
	LoadChart = "load"
	// Frontier is the kind of the chart of the energy of a good token over the attainment of the objective.
	Frontier = "frontier"
)

// LoadKinds are the charts of studies with loads.
func LoadKinds() []string { return []string{LoadChart, Frontier} }

// frontier draws the energy per good token over the attainment, or another metric.
func (s study) frontier(o Options) (*Picture, error) {
	x, err := metricOf(o.X, loads.AttainmentMetric)
	if err != nil {
		return nil, err
	}
	o.X = x.Name
	if o.Y == "" {
		o.Y = loads.GoodTokenMetric
	}
	all, err := loads.Of(s.StudyResult)
	if err != nil {
		return nil, err
	}
	if len(all.Groups) == 0 {
		return nil, &Error{"no run has a load", drawLoads}
	}
	p, err := s.pareto(o)
	if err != nil {
		return nil, err
	}
	if chart, ok := p.Chart.(figure.Pareto); ok {
		if all.SLO.Set() {
			chart.Title += " · " + loads.Objective(all.SLO)
		}
		if o.X == loads.AttainmentMetric { // a fraction
			chart.X.Log, chart.X.Most = false, 1
			for i, m := range chart.Marks {
				chart.Marks[i].X.High = min(m.X.High, 1)
			}
		}
		p.Chart = chart
	}
	return p, nil
}

// drawLoads is the next step where a study has no loads.
const drawLoads = "draw a study with workload.load, or another chart"

// steps is how many points a curve has.
const steps = 100

// load draws a metric over the completed rate, with the load line where it is power or the energy of a request.
func (s study) load(o Options) (*Picture, error) {
	m, err := metricOf(o.Y, loads.PowerMetric)
	if err != nil {
		return nil, err
	}
	all, err := loads.Of(s.StudyResult)
	if err != nil {
		return nil, err
	}
	y, factor := s.axis(m)
	chart := figure.Load{Title: s.title(), Y: y,
		X: figure.Axis{Label: "completed requests per second", FromZero: true}}
	data := [][]string{{"id", "configuration", loads.CompletedMetric, m.Name, "low", "high", "saturated", "fit",
		"fit_low", "fit_high"}}
	var ys []float64
	for _, g := range all.Groups {
		line, saturated := figure.Line{Label: g.Name}, []bool{}
		for _, p := range g.Points {
			x, okX := p.Figure(loads.CompletedMetric)
			f, ok := p.Figure(m.Name)
			if !ok || !okX {
				continue
			}
			v := figure.Exactly(f.Value * factor)
			if f.CI95 != nil {
				v.Low, v.High = f.CI95[0]*factor, f.CI95[1]*factor
			}
			line.X, line.Y = append(line.X, x.Value), append(line.Y, v)
			line.Flags = append(line.Flags, s.marks[p.Experiment])
			saturated, ys = append(saturated, p.Saturated > 0), append(ys, v.Value)
			row := append([]string{p.Summary.ID, s.names[p.Experiment], number(x.Value)}, cells(v, factor)...)
			word := "no"
			if p.Saturated > 0 {
				word = "yes"
			}
			fit := fitted(g.Line, m, x.Value)
			data = append(data, append(row, word, number(fit.Value), number(fit.Low), number(fit.High)))
		}
		if len(line.X) == 0 {
			continue
		}
		curve, asymptote := curveOf(g.Line, m)
		chart.Lines, chart.Saturated = append(chart.Lines, line), append(chart.Saturated, saturated)
		chart.Fits, chart.Asymptotes = append(chart.Fits, curve), append(chart.Asymptotes, asymptote)
		if g.Line != nil && len(all.Groups) == 1 && m.Name == loads.PowerMetric {
			chart.Title += " · " + g.LineText()
		}
	}
	if len(all.Groups) == 0 || len(chart.Lines) == 0 {
		return nil, &Error{"no run has a load with " + m.Name, drawLoads}
	}
	chart.Y.FromZero = m.Name == loads.PowerMetric || !figure.AutoLog(ys)
	chart.Y.Log = !chart.Y.FromZero
	p := &Picture{Chart: chart, Data: data}
	if open := opened(chart.Saturated); open > 0 {
		p.Notes = append(p.Notes, "open marks: saturated ("+digits.Count(open, "load")+")")
	}
	return p, nil
}

// opened counts the points above capacity.
func opened(all [][]bool) (n int) {
	for _, line := range all {
		for _, saturated := range line {
			if saturated {
				n++
			}
		}
	}
	return n
}

// fitted is what the load line has for a metric at a rate; NaN if it has nothing.
func fitted(l *loadline.Line, m result.MetricInfo, rate float64) loadline.Interval {
	switch {
	case l == nil || rate <= 0:
	case m.Name == loads.PowerMetric:
		return l.At(rate)
	case m.Name == loads.RequestMetric:
		return l.PerRequest(rate)
	}
	return loadline.Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
}

// curveOf is the load line for a metric, from rate 0 for power, and what it approaches.
func curveOf(l *loadline.Line, m result.MetricInfo) (c figure.Curve, asymptote float64) {
	asymptote = math.NaN()
	if l == nil || !strings.HasPrefix(m.Name, "energy.") || math.IsNaN(fitted(l, m, l.High).Value) {
		return c, asymptote
	}
	from := l.Low
	if m.Name == loads.PowerMetric {
		from = 1e-9
	} else {
		asymptote = l.SlopeJ.Value
	}
	for k := range steps + 1 {
		x := from + (l.High-from)*float64(k)/steps
		v := fitted(l, m, x)
		c.X, c.Y, c.Low, c.High = append(c.X, x), append(c.Y, v.Value), append(c.Low, v.Low), append(c.High, v.High)
	}
	return c, asymptote
}
