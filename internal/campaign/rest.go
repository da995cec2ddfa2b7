package campaign

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/study"
)

// Limits for a device at rest, and for waiting.
const (
	restPowerW    = 1.0 // above the power at rest, as an absolute minimum
	restLook      = time.Second
	restLooksLeft = 2 // consecutive polls that must agree
)

// rest is the state of an idle device.
type rest struct {
	watts   float64
	celsius float64 // NaN if unknown
}

// atRest returns the current state of the devices, by id.
func (o *Options) atRest(ctx context.Context) (map[string]rest, error) {
	sampler := power.NewSampler(o.Meters...)
	sampler.Now = o.Clock.Mono
	sampler.Start(ctx)
	w := attribute.Window{Start: o.Clock.Mono()}
	err := o.Clock.Sleep(ctx, restLook)
	w.End = o.Clock.Mono()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	trace := sampler.Stop(stop)
	if err != nil {
		return nil, err
	}
	out := map[string]rest{}
	for _, m := range o.Meters {
		for _, d := range m.Devices() {
			if d.Modelled || d.OverNetwork {
				continue
			}
			r := rest{watts: math.NaN(), celsius: math.NaN()}
			var sum, n float64
			for _, s := range trace.Samples {
				if s.Device == d.ID && s.MonoNS >= w.Start {
					sum, n = sum+float64(s.Power), n+1
				}
			}
			if n > 0 {
				r.watts = sum / n
			}
			for _, t := range trace.Telemetry {
				if t.Device == d.ID && t.TemperatureC != nil {
					r.celsius = *t.TemperatureC
				}
			}
			out[d.ID] = r
		}
	}
	return out, nil
}

// above returns by how much a device is above rest; empty if it is at rest.
func (r rest) above(now rest, limit study.Rest) string {
	switch {
	case now.watts > r.watts+max(restPowerW, limit.PowerPct/100*r.watts):
		return fmt.Sprintf("%.0f W, at rest %.0f W", now.watts, r.watts)
	case now.celsius > r.celsius+limit.Degrees:
		return fmt.Sprintf("%.0f °C, at rest %.0f °C", now.celsius, r.celsius)
	}
	return ""
}

// restOf completes the study's limits: an H100 and an H200 reach rest within some seconds.
func restOf(r study.Rest) study.Rest {
	return study.Rest{Degrees: cmp.Or(r.Degrees, 3), PowerPct: cmp.Or(r.PowerPct, 3),
		AtMost: cmp.Or(r.AtMost, study.Duration(3*time.Minute))}
}

// gap waits between two runs and returns the duration. The state of rest is the machine's state before the
// first run.
func (o *Options) gap(ctx context.Context, found map[string]rest) (time.Duration, error) {
	began := o.Clock.Time()
	switch g := o.Study.Execution.Gap; {
	case o.NoGaps:
		return 0, nil
	case g.Mode == terms.GapFixed && g.Seconds > 0:
		o.emit(event.PhaseStarted{Phase: event.Rest, Detail: fmt.Sprintf("%g s", g.Seconds)})
		err := o.Clock.Sleep(ctx, digits.Duration(g.Seconds))
		return o.Clock.Time().Sub(began), err
	case g.Mode != terms.GapByCondition || len(found) == 0:
		return 0, nil
	}
	limit := restOf(o.Study.Execution.Rest)
	for calm := 0; calm < restLooksLeft; {
		if atMost := time.Duration(limit.AtMost); o.Clock.Time().Sub(began) > atMost {
			o.emit(event.Note{Code: codes.NotAtRest,
				Message: fmt.Sprintf(
					"the machine did not return to rest within %v; the next run begins anyway, and its "+
						"baseline shows it", atMost)})
			break
		}
		now, err := o.atRest(ctx)
		if err != nil {
			return o.Clock.Time().Sub(began), err
		}
		why := ""
		for id, r := range found {
			if what := r.above(now[id], limit); what != "" {
				why = id + ": " + what
			}
		}
		if calm++; why != "" {
			calm = 0
			o.emit(event.PhaseStarted{Phase: event.Rest, Detail: "until the machine is at rest; " + why})
		}
	}
	return o.Clock.Time().Sub(began), nil
}
