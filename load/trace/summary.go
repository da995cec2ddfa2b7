package trace

import (
	"fmt"
	"strings"
)

// Summary is what is taken from a file, with the names of results.
type Summary struct {
	// Format of the file: azure, burstgpt, mooncake, bailian or llem.
	Format string `json:"format"`
	// Rows is the number of rows that were read, and Requests how many of them are replayed.
	Rows     int64 `json:"rows"`
	Requests int64 `json:"requests"` // see Rows
	// Outside is the number of rows outside of the span, Empty without a prompt or an answer, and Dropped beyond the
	// limits of length.
	Outside int64 `json:"outside"`
	Empty   int64 `json:"empty"`   // see Outside
	Dropped int64 `json:"dropped"` // see Outside
	// Continued is the number of requests that continue an answer of the same conversation.
	Continued int64 `json:"continued"`
	// Clipped is the number of requests that are shortened to the limits.
	Clipped int64 `json:"clipped"`
	// RecordedS is the time from the start of the span to the last request as recorded, and ReplayedS as replayed, in
	// seconds; with gaps to the last conversation that begins.
	RecordedS float64 `json:"recorded_s"`
	ReplayedS float64 `json:"replayed_s"` // see RecordedS
	// ResolutionS is the least time between two different stamps as recorded, in seconds.
	ResolutionS float64 `json:"resolution_s"`
	// Repeated is the fraction of prompt tokens in blocks that an earlier request had at the same place: what an
	// endless prefix cache would save.
	Repeated float64 `json:"repeated"`
}

// Summary returns what was taken from the file.
func (t *Trace) Summary() *Summary {
	c := t.Counts
	last, _ := t.Lasts()
	continued := int64(0)
	for i := range t.Requests {
		if t.History(i) > 0 {
			continued++
		}
	}
	return &Summary{Format: t.Format, Rows: c.Rows, Requests: int64(len(t.Requests)), Outside: c.Outside,
		Continued: continued,
		Empty:     c.Empty, Dropped: c.Dropped, Clipped: c.Clipped, RecordedS: float64(t.LastNS) / 1e9,
		ReplayedS: float64(last) / 1e9, ResolutionS: float64(t.Resolution) / 1e9, Repeated: t.Repeated()}
}

// Text returns the counts in words, such as "120 requests of 150 rows read: 20 dropped, 10 outside of the span".
func (s *Summary) Text() string {
	var less []string
	for _, c := range []struct {
		n    int64
		what string
	}{{s.Dropped, "dropped as longer than the limits"}, {s.Clipped, "shortened to the limits"},
		{s.Empty, "without a prompt or an answer"}, {s.Outside, "outside of the span"}} {
		if c.n > 0 {
			less = append(less, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(less) == 0 {
		return fmt.Sprintf("all %d requests", s.Requests)
	}
	return fmt.Sprintf("%d requests of %d rows read: %s", s.Requests, s.Rows, strings.Join(less, ", "))
}
