package join

import (
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shapes"
	"github.com/llenergymeasure/llem/result/series"
)

// mostExcluded is the part of the requests that may be left out of the latencies: more are not
// exceptions.
const mostExcluded = 0.25

// steady returns the requests whose latencies count: without those that paid for the first use
// of a shape, which are told of. Where these are many, all count.
func (j *join) steady() []backend.Request {
	j.firstUses = shapes.FirstUses(j.Requests, j.Steps)
	n, ok := len(j.firstUses), 0
	for _, q := range j.Requests {
		if q.OK {
			ok++
		}
	}
	switch {
	case n == 0:
		return j.Requests
	case float64(n) > mostExcluded*float64(ok):
		j.warn(codes.FirstUse, fmt.Sprintf("%d of %d requests paid for the first use of a shape within the window: "+
			"so many are in the latencies; raise warmup.max_seconds, or look for what the warm-up does not reach", n,
			ok))
		j.firstUses = nil
		return j.Requests
	}
	var out []backend.Request
	for _, q := range j.Requests {
		if !j.firstUses[q.ID] {
			out = append(out, q)
		}
	}
	verb := "were"
	if n == 1 {
		verb = "was"
	}
	j.warn(codes.FirstUse, fmt.Sprintf("%s of %d %s left out of the latencies: the first use of a shape within the "+
		"window made them late; their energy and tokens count", digits.Count(n, "request"), ok, verb))
	return out
}

// mark notes in the rows which requests were left out of the latencies.
func (j *join) mark(rows []series.Request) {
	for i := range rows {
		rows[i].FirstUse = j.firstUses[int(rows[i].ID)]
	}
}
