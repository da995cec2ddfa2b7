package clientaudit

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/load"
)

// Limits of what the client may add to latencies, in microseconds: latencies of engines are milliseconds.
const (
	mostLagUS   = 1000
	mostErrorUS = 1000
)

// Next is the next step if the client is not exact enough.
const Next = "stop other programs on this machine (top), or give llem processors of its own (taskset)"

// Sentence describes an audit.
func Sentence(c *load.Client) string {
	return fmt.Sprintf("the client of server engines with %d streams: times to the first token are wrong by %s on "+
		"average (p99 %s), times between tokens by %s at the median (p99 %s); at %s requests a second they are sent "+
		"%s late at the median (p99 %s, at most %s); a million tokens take %s of processor time",
		c.Streams, micro(c.TTFTErrorUS), micro(c.TTFTErrorP99US), micro(c.ITLErrorP50US), micro(c.ITLErrorP99US),
		digits.Significant(c.Rate, 3), micro(c.SendLagP50US), micro(c.SendLagP99US), micro(c.SendLagMaxUS),
		digits.SI(c.CPUSPerMillion, "s"))
}

// Exact reports whether a client adds little to latencies.
func Exact(c *load.Client) bool {
	return c.SendLagP99US <= mostLagUS && c.ITLErrorP99US <= mostErrorUS && math.Abs(c.TTFTErrorUS) <= mostErrorUS
}

func micro(us float64) string { return digits.SI(us/1e6, "s") }
