package join

import (
	"fmt"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/atload"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shapes"
	"github.com/llenergymeasure/llem/result/series"
)

// mostExcluded is the largest share of the requests that may be excluded from the latencies.
const mostExcluded = 0.25

// steady returns the requests whose latencies count. Requests that include the first use of a shape are
// excluded and reported; if there are many, all count.
func (j *join) steady() []backend.Request {
	j.firstUses = shapes.FirstUses(j.Requests, j.Steps)
	requests := j.Requests
	if j.Load != nil {
		requests = atload.Scheduled(requests, j.Window)
	}
	n, ok := 0, 0
	for _, q := range requests {
		if q.OK {
			ok++
		}
		if j.firstUses[q.ID] {
			n++
		}
	}
	j.firstUsed = n
	switch {
	case n == 0:
		return requests
	case float64(n) > mostExcluded*float64(ok):
		j.warn(codes.FirstUse,
			fmt.Sprintf("%d of %d requests include the first use of a shape in the window, so many that they count in "+
				"the latencies; raise warmup.max_seconds, or check what the warm-up does not cover", n,
				ok))
		j.firstUses, j.firstUsed = nil, 0
		return requests
	}
	var out []backend.Request
	for _, q := range requests {
		if !j.firstUses[q.ID] {
			out = append(out, q)
		}
	}
	verb := "were"
	if n == 1 {
		verb = "was"
	}
	j.warn(codes.FirstUse, fmt.Sprintf("%s of %d %s excluded from the latencies: the first use of a shape in the "+
		"window delayed them; their energy and tokens are counted", digits.Count(n, "request"), ok, verb))
	return out
}

// mark marks the rows of requests that are excluded from the latencies.
func (j *join) mark(rows []series.Request) {
	for i := range j.Requests {
		rows[i].FirstUse = j.firstUses[int(rows[i].ID)]
	}
}
