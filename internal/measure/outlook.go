package measure

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/join"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/power"
)

// warmed is the last workload of a warm-up: a full batch and the smaller last one, with all of their output
// tokens.
type warmed struct {
	log    *backend.Log
	window attribute.Window
}

// lengthForPhases lengthens a window that could not separate prefill from decode, up to energy.max_window.
func (d *desk) lengthForPhases(ctx context.Context, c *collected, l length) (length, error) {
	seen, err := d.sensors(ctx, c)
	if err != nil || len(seen) == 0 {
		return l, err
	}
	limit := digits.Duration(d.Experiment.Energy.MaxWindow)
	// A turn is the workload of the warm-up; one round is a number of turns.
	turn := d.warmed.window.Duration()
	once := float64(len(c.work.requests)) / float64(max(1, len(d.warmed.log.Requests)))
	most := max(1, int(limit/max(1, turn)), int(math.Ceil(once*float64(l.repeats))))
	var need attribute.Need
	for _, o := range seen {
		n := o.Turns(most)
		if need.Turns = max(need.Turns, n.Turns); n.Turns == 0 {
			need = n
			break
		}
	}
	if need.Turns == 0 {
		l.phasesTake = need.Longer
		if need.Longer == 0 {
			l.phasesTake = -time.Second
		}
		return l, nil
	}
	repeats := int(math.Ceil(spare * float64(need.Turns) / once))
	if need.Turns > 1 && repeats > l.repeats {
		l.repeats, l.forPhases = repeats, true
		l.seconds = float64(need.Turns) * turn.Seconds()
		l.who = "the split of prefill and decode requires"
	}
	return l, nil
}

// judgedAgain determines from the window itself what its phases need, if the warm-up was so slow that
// energy.max_window seemed too short. It reports whether the window is measured again with more rounds.
func (d *desk) judgedAgain(ctx context.Context, c *collected, m *measured) (length, bool, error) {
	l := m.length
	if l.phasesTake <= 0 {
		return l, false, nil
	}
	byWarmUp := d.warmed
	d.warmed = warmed{m.log, m.window}
	l.phasesTake = 0
	l, err := d.lengthForPhases(ctx, c, l)
	d.warmed = byWarmUp
	if err != nil || l.repeats <= m.length.repeats {
		return l, false, err
	}
	seconds := m.window.Duration().Seconds()
	d.record.Timing.DiscardedWindowS = seconds
	d.warn(codes.WindowRepeated, fmt.Sprintf("the warm-up was slower than the window of %s s, less than the %s s "+
		"that %s; that window is discarded and repeated with %d rounds",
		digits.Significant(seconds, 3), digits.Significant(l.seconds, 3), l.who, l.repeats))
	return l, true, nil
}

// noPhases warns of phases that are missing because a longer window was not allowed.
func (d *desk) noPhases(l length) {
	p := d.record.Energy.Phases
	if l.phasesTake <= 0 || p != nil && p.Prefill.EnergyJ != nil && p.Decode.EnergyJ != nil {
		return
	}
	seconds := attribute.WindowToAsk(l.phasesTake)
	d.warn(codes.MinWindow, fmt.Sprintf("the split of prefill and decode needs a window of about %.0f s, longer "+
		"than the %.3g s of energy.max_window: set energy.min_window: %.0f", seconds, d.Experiment.Energy.MaxWindow,
		seconds))
}

// lookSeconds is how long the sensors are sampled if the idle machine was not measured.
const lookSeconds = 0.5

// sensors returns outlooks of the window, one for each kind of sensor of the devices that run the model.
func (d *desk) sensors(ctx context.Context, c *collected) ([]attribute.Outlook, error) {
	if d.warmed.log == nil {
		return nil, nil
	}
	engine := join.EngineOf(c.engine.loaded)
	of := attribute.Outlook{Steps: d.warmed.log.Steps, Requests: d.warmed.log.Requests, Turn: d.warmed.window,
		Tier: engine.Tier}
	samples := c.idles.trace.Samples
	if len(samples) == 0 {
		s := d.sampling().Sampler()
		s.Start(ctx)
		err := d.Clock.Sleep(ctx, digits.Duration(lookSeconds))
		samples = sampling.Stopped(ctx, s).Samples
		if err != nil {
			return nil, err
		}
	}
	var out []attribute.Outlook
	known := map[string]bool{}
	for _, dev := range d.devices() {
		if !engine.Counts(dev) || dev.Modelled && dev.Kind == power.CPU {
			continue // a model of a processor's power does not distinguish phases
		}
		var own []power.Sample
		for _, s := range samples {
			if s.Device == dev.ID {
				own = append(own, s)
			}
		}
		if len(own) == 0 {
			continue
		}
		o := of.SeenBy(own)
		o.Profile = d.Profiles[dev.ID].Source(o.Source)
		if key := fmt.Sprint(o.Source, o.Spacing.Round(time.Millisecond), o.Averaging, o.Profile != nil); !known[key] {
			known[key] = true
			out = append(out, o)
		}
	}
	return out, nil
}
