package atload

import (
	"fmt"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/note"
)

const (
	// shortestStall is the least silence of an engine with requests in flight that shows that it stopped working.
	shortestStall = 30 * time.Second
	// timesSlower is how much longer than its slowest first token the silence must be.
	timesSlower = 3
)

// Stalled warns of an engine that stopped working before the end of the run: with requests in flight, it sent nothing
// more.
func (r Run) Stalled(warn func(code note.Code, message string)) {
	last, slowest, cut := r.Start, int64(0), 0
	waiting := r.End // since when the first of the requests without an answer waits
	for _, q := range r.Requests {
		last = max(last, q.FirstByteNS, q.FirstTokenNS, q.DoneNS)
		if n := len(q.TokenNS); n > 0 {
			last = max(last, q.TokenNS[n-1])
		}
		if q.OK {
			last = max(last, q.EndNS)
			slowest = max(slowest, q.FirstTokenNS-q.SubmittedNS)
		}
		if Cut(q) && q.SubmittedNS > 0 {
			cut++
			waiting = min(waiting, q.SubmittedNS)
		}
	}
	last = max(last, waiting)
	silence := r.End - last
	if cut == 0 || silence < max(int64(shortestStall), timesSlower*slowest) {
		return
	}
	warn(codes.LoadStalled, fmt.Sprintf("the engine sent nothing in the last %s s of the run, with %s in flight: it "+
		"stopped working %s s after the beginning, and the numbers are not of a load",
		digits.Significant(float64(silence)/1e9, 3), digits.Count(cut, "request"),
		digits.Significant(float64(last-r.Start)/1e9, 3)))
}
