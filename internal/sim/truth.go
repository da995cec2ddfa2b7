package sim

// Span is an interval of CLOCK_MONOTONIC time in nanoseconds.
type Span struct{ Start, End int64 }

// TrueStep is a step with its true limits, and the planned energy of each phase alone.
type TrueStep struct {
	Start, End int64
	// Joules was planned for the whole step on a GPU of scale 1; PrefillJ and DecodeJ are the parts that only
	// prompt tokens or only decoded tokens cause.
	Joules, PrefillJ, DecodeJ float64
	// Caused is the true energy of the step on all GPUs, including drift and noise, and including power that
	// follows the load late: the energy of a load, not of its time.
	Caused float64
	// Prompts and Outputs report which phases the step has.
	Prompts, Outputs bool
}

// PhaseTruth is the energy of a phase. Low is what only the phase causes; High includes all of the shared
// energy of mixed steps, Joules half of it.
type PhaseTruth struct{ Joules, Low, High float64 }

// Truth is the true energy of a window, in joules.
type Truth struct {
	Total           float64
	Prefill, Decode PhaseTruth
	Idle            float64 // without a running step
	Mixed           float64 // part of the total in mixed steps
}

// TruthOf sums what the steps of a window caused; the rest of the true power is idle. A step of one phase
// belongs completely to it. In a mixed step, each phase gets what only it causes, and half of the rest,
// mainly reading the weights: the Shapley value ½[E(P) + E(PD) − E(D)] of two players, where E(P) and E(D)
// are steps with one phase alone and their own duration. If true power differs from the plan, all parts of a
// step are scaled.
func TruthOf(curves []Curve, steps []TrueStep, w Span) Truth {
	var t Truth
	for _, c := range curves {
		t.Total += c.Joules(w.Start, w.End)
	}
	busy := 0.0
	for _, s := range steps {
		from, to := max(s.Start, w.Start), min(s.End, w.End)
		if to <= from {
			continue
		}
		e := s.Caused * float64(to-from) / float64(s.End-s.Start)
		busy += e
		switch {
		case !s.Outputs:
			t.Prefill.give(e, 0)
		case !s.Prompts:
			t.Decode.give(e, 0)
		default:
			scale := e / s.Joules
			shared := e - scale*(s.PrefillJ+s.DecodeJ)
			t.Prefill.give(scale*s.PrefillJ, shared)
			t.Decode.give(scale*s.DecodeJ, shared)
			t.Mixed += e
		}
	}
	t.Idle = t.Total - busy
	return t
}

func (p *PhaseTruth) give(own, shared float64) {
	p.Joules += own + shared/2
	p.Low += own
	p.High += own + shared
}
