// Package throughput computes what the workers of a study do with their time: how much of it they measure, and how much
// they claim, wait, load and idle. The runs are from the journals of the workers, which package store reads; when a
// worker was present is in a file of its own.
//
//	join ─ claim, wait ─ run (rest, idle power, load, warm-up, window, other) ─ claim … ─ end of the study ─ leave
//
// All times are of the file server's clock, and all durations of the clock of one machine, so that clocks that differ
// change nothing.
package throughput

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// add adds another use of time.
func add(u *result.TimeUse, o result.TimeUse) {
	u.PresentS += o.PresentS
	u.WindowS += o.WindowS
	u.IdlePowerS += o.IdlePowerS
	u.LoadS += o.LoadS
	u.WarmupS += o.WarmupS
	u.RestS += o.RestS
	u.ClaimS += o.ClaimS
	u.WaitS += o.WaitS
	u.EndS += o.EndS
	u.OtherS += o.OtherS
}

// Run is a finished run of a worker.
type Run struct {
	// Worker executed it until End.
	Worker string
	End    time.Time
	// TookS is the time since the end of the worker's previous run, and Use has its parts, in s.
	TookS float64
	Use   result.TimeUse
}

// presence is a stretch of time in which a worker was present.
type presence struct {
	// From and To are its limits.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Of returns the use of the workers of a study from their runs, and from the files of their presence and of their
// claims in two folders; nil for fewer than two workers.
func Of(runs []Run, dir, claims string) *result.Workers {
	if !slices.ContainsFunc(runs, func(r Run) bool { return r.Worker != "" }) {
		return nil
	}
	if w := use(runs, presences(dir, claims)); w != nil && len(w.Each) > 1 {
		return w
	}
	return nil
}

// use returns the use of workers from their runs and the presence of each by its name. A presence without an end lasts
// until the worker's last run, and a worker without a presence was there from the beginning of
// its first run. Nil without
// a run of a worker.
func use(runs []Run, here map[string][]presence) *result.Workers {
	by := map[string][]Run{}
	var end time.Time
	for _, r := range runs {
		if r.Worker != "" {
			by[r.Worker] = append(by[r.Worker], r)
			end = latest(end, r.End)
		}
	}
	if len(by) == 0 {
		return nil
	}
	for name := range here {
		if _, known := by[name]; !known {
			by[name] = nil
		}
	}
	out := &result.Workers{Each: []result.WorkerUse{}}
	var all []presence
	for _, name := range slices.Sorted(maps.Keys(by)) {
		own := limits(by[name], here[name], end)
		if len(own) == 0 {
			continue // it came after the last run
		}
		w := result.WorkerUse{Worker: name, Runs: len(by[name]), TimeUse: useOf(by[name], own)}
		out.Runs += w.Runs
		add(&out.Total, w.TimeUse)
		out.Each = append(out.Each, w)
		all = append(all, own...)
	}
	out.WallS = wall(all)
	if out.WallS > 0 {
		out.RunsPerHour = float64(out.Runs) / out.WallS * 3600
	}
	out.MeasuredS = out.Total.MeasuredS() / float64(len(out.Each))
	if out.Total.PresentS > 0 {
		out.Unmeasured = max(0, 1-out.Total.MeasuredS()/out.Total.PresentS)
	}
	return out
}

// limits completes the presence of a worker, and cuts it at the end of the study.
func limits(runs []Run, present []presence, end time.Time) []presence {
	var out []presence
	for i, p := range present {
		open := p.To.IsZero()
		for _, r := range runs { // its last run before the next presence
			if open && r.End.After(p.From) && (i+1 == len(present) || r.End.Before(present[i+1].From)) {
				p.To = latest(r.End, p.To)
			}
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		for _, r := range runs {
			out = append(out, presence{r.End.Add(-seconds(r.TookS)), r.End})
		}
	}
	for i := range out {
		if out[i].To.After(end) {
			out[i].To = end
		}
	}
	return slices.DeleteFunc(out, func(p presence) bool { return !p.To.After(p.From) })
}

// useOf returns the use of a worker.
func useOf(runs []Run, present []presence) (u result.TimeUse) {
	for _, p := range present {
		u.PresentS += p.To.Sub(p.From).Seconds()
		last := p.From
		for _, r := range runs {
			if !r.End.Before(p.From) && !r.End.After(p.To) {
				last = latest(last, r.End)
			}
		}
		u.EndS += p.To.Sub(last).Seconds()
	}
	whole := u.PresentS
	for _, r := range runs {
		add(&u, r.Use)
	}
	u.PresentS = whole
	known := u.WindowS + u.IdlePowerS + u.LoadS + u.WarmupS + u.RestS + u.ClaimS + u.WaitS + u.EndS
	if u.OtherS = u.PresentS - known; u.OtherS < 0 { // clocks are read one after the other
		u.PresentS, u.OtherS = known, 0
	}
	return u
}

// wall is the time that at least one presence covers, in s.
func wall(all []presence) (s float64) {
	slices.SortFunc(all, func(a, b presence) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	var until time.Time
	for _, p := range all {
		from := latest(p.From, until)
		if p.To.After(from) {
			s += p.To.Sub(from).Seconds()
		}
		until = latest(until, p.To)
	}
	return s
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
