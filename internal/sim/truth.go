package sim

// Span is a stretch of CLOCK_MONOTONIC time in nanoseconds.
type Span struct{ Start, End int64 }

// TrueStep is a step as it really happened: its true limits, and the energy that
// its plan gives to one phase alone.
type TrueStep struct {
	Start, End int64
	// Joules was planned for the whole step on a GPU of scale 1; PrefillJ and DecodeJ
	// are the parts that prompt tokens and decoded tokens cause on their own.
	Joules, PrefillJ, DecodeJ float64
	// Caused is what the step really cost on all GPUs, drift and noise included, also
	// where power follows the load late: the energy of a load, not of its time.
	Caused float64
	// Prompts and Outputs say which phases take part.
	Prompts, Outputs bool
}

// PhaseTruth is the energy of a phase. Low is what it causes alone, High includes
// all that mixed steps spend on both phases together; Joules has half of that.
type PhaseTruth struct{ Joules, Low, High float64 }

// Truth is what a window really cost, in joules.
type Truth struct {
	Total           float64
	Prefill, Decode PhaseTruth
	Idle            float64 // no step was running
	Mixed           float64 // part of the total that mixed steps took
}

// TruthOf adds up what the steps of a window caused; what is left of the true power
// is idle. A step of one phase
// belongs to it whole. In a mixed step each phase has what it causes by itself, and
// half of the rest, above all that of reading the weights: the Shapley value
// ½[E(P) + E(PD) − E(D)] of two players, where E(P) and E(D) are steps with one
// phase alone, with the time that they would take. Where true power strayed from the plan, all parts
// of a step stray in proportion.
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
