package join

import (
	"slices"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/latencies"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// storeLoad writes what is known about the load, and appends the requests of earlier probes to the rows of the run's
// own: both have the index of their load.
func storeLoad(m *Material, rec *result.Record, s *series.All) {
	rec.Load = nil
	if m.Load == nil {
		return
	}
	rec.Load = &result.Load{StartMonoNS: m.Load.StartNS, EndMonoNS: m.Load.EndNS, HorizonMonoNS: m.Load.HorizonNS,
		Trace: m.Load.Trace}
	var probes []ProbeRun
	if f := m.Load.Search; f != nil {
		probes = f.Probes
		rec.Load.Search = &result.Search{Over: f.Over, Load: f.Load, Lower: f.Lower, Upper: f.Upper,
			Resolved: f.Resolved, Reason: f.Reason, Probes: each(probes, packProbe)}
	}
	own := int64(len(probes))
	for i := range s.Requests {
		s.Requests[i].Point = &own
	}
	for i, p := range probes {
		for _, q := range p.Requests {
			row := packRequest(q)
			row.Point = new(int64(i))
			s.Requests = append(s.Requests, row)
		}
	}
}

func packProbe(p ProbeRun) result.Probe {
	return result.Probe{Role: p.Role, Load: p.Load, StartMonoNS: p.StartNS, EndMonoNS: p.EndNS,
		HorizonMonoNS: p.HorizonNS}
}

func loadLoad(m *Material, rec *result.Record, s *series.All) {
	l := rec.Load
	if l == nil {
		return
	}
	m.Load = &LoadRun{StartNS: l.StartMonoNS, EndNS: l.EndMonoNS, HorizonNS: l.HorizonMonoNS, Trace: l.Trace}
	f := l.Search
	if f == nil {
		return
	}
	m.Load.Search = &SearchRun{Over: f.Over, Load: f.Load, Lower: f.Lower, Upper: f.Upper, Resolved: f.Resolved,
		Reason: f.Reason}
	for i, p := range f.Probes {
		m.Load.Search.Probes = append(m.Load.Search.Probes, ProbeRun{Role: p.Role, Load: p.Load,
			StartNS: p.StartMonoNS, EndNS: p.EndMonoNS, HorizonNS: p.HorizonMonoNS,
			Requests: requestsOf(s.Requests, int64(i))})
	}
	m.Requests = requestsOf(s.Requests, int64(len(f.Probes)))
}

// requestsOf returns the requests of one load of a search.
func requestsOf(rows []series.Request, point int64) []backend.Request {
	return each(slices.DeleteFunc(slices.Clone(rows), func(q series.Request) bool {
		return q.Point == nil || *q.Point != point
	}), latencies.Unpack)
}
