package compare

import (
	"fmt"
	"math"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Change returns the change from A to B as a percentage, or as a factor if that is easier to read: the value,
// and its 95 % confidence interval, empty if there is none. Without a ratio both are empty.
func (m Metric) Change() (value, interval string) {
	if m.Ratio == nil {
		return "", ""
	}
	if m.CI95 == nil {
		if m.factor() {
			return "× " + digits.Significant(*m.Ratio, 3), ""
		}
		return signed(*m.Ratio, places(*m.Ratio-1)) + " %", ""
	}
	low, high := m.CI95[0], m.CI95[1]
	if m.factor() {
		return "× " + digits.Significant(*m.Ratio, 3),
			bound(low) + " to " + bound(high)
	}
	n := places((high - low) / 2)
	if low == high {
		n = places(*m.Ratio - 1)
	}
	return signed(*m.Ratio, n) + " %", signed(low, n) + " to " + signed(high, n) + " %"
}

// bound returns an end of the interval of a factor; far from 1 its digits tell nothing.
func bound(factor float64) string {
	switch {
	case factor < 1.0/farthest:
		return fmt.Sprintf("under %g", 1.0/farthest)
	case factor > farthest:
		return fmt.Sprintf("over %d", farthest)
	}
	return digits.Significant(factor, 3)
}

// farthest is the factor, and its inverse, beyond which the end of an interval is not printed.
const farthest = 10000

// factor reports whether the ratio is printed as a factor.
func (m Metric) factor() bool {
	low, high := *m.Ratio, *m.Ratio
	if m.CI95 != nil {
		low, high = m.CI95[0], m.CI95[1]
	}
	return *m.Ratio < 0.5 || *m.Ratio > 2 || low < 0.2 || high > 5
}

// places returns the number of decimals of a percentage so that a part of it has two digits.
func places(share float64) int {
	if share == 0 {
		return 0
	}
	return min(3, max(0, 1-int(math.Floor(math.Log10(100*math.Abs(share))))))
}

// signed returns a ratio as a percentage with its sign.
func signed(ratio float64, decimals int) string {
	text := fmt.Sprintf("%+.*f", decimals, 100*(ratio-1))
	if strings.Trim(text, "+-0.") == "" {
		return text[1:]
	}
	return digits.Signed(text)
}

// lies returns a ratio in words: 46.5 % lower, 481 times.
func (m Metric) lies(ratio float64, decimals int) string {
	switch text := fmt.Sprintf("%.*f %%", decimals, 100*math.Abs(ratio-1)); {
	case m.factor():
		return digits.Significant(ratio, 3) + " times"
	case ratio < 1:
		return text + " lower"
	default:
		return text + " higher"
	}
}

// range95 returns the interval in words: 46.1 to 46.9 % lower, or from 0.2 % lower to 0.3 % higher.
func (m Metric) range95(decimals int) string {
	if m.factor() {
		return bound(m.CI95[0]) + " to " + bound(m.CI95[1]) + " times"
	}
	low, high := m.lies(m.CI95[0], decimals), m.lies(m.CI95[1], decimals)
	unit := low[strings.IndexByte(low, ' '):]
	if !strings.HasSuffix(high, unit) {
		return "from " + low + " to " + high
	}
	if low, high = strings.TrimSuffix(low, unit), strings.TrimSuffix(high, unit); m.CI95[1] < 1 {
		low, high = high, low
	}
	return low + " to " + high + unit
}

// change returns in words by how much B differs, and the interval.
func (m Metric) change() (value, between string) {
	if m.Ratio == nil {
		value = digits.SI(math.Abs(m.Difference), m.Unit) + " higher"
		if m.Difference < 0 {
			value = digits.SI(-m.Difference, m.Unit) + " lower"
		}
		if m.DifferenceCI95 != nil {
			between = fmt.Sprintf("from %s to %s", digits.SI(m.DifferenceCI95[0], m.Unit),
				digits.SI(m.DifferenceCI95[1], m.Unit))
		}
		return value, between
	}
	n := places(*m.Ratio - 1)
	if m.CI95 != nil && m.CI95[0] < m.CI95[1] {
		n = places((m.CI95[1] - m.CI95[0]) / 2)
		between = m.range95(n)
	}
	if value = m.lies(*m.Ratio, n); m.factor() {
		value += " as high"
	}
	return value, between
}

// answer returns one or two sentences about the primary metric.
func (c *Comparison) answer(a, b Side) string {
	m := c.Metrics[0]
	runs := c.runs()
	value, between := m.change()
	than := " in B than in A"
	if m.Ratio != nil && m.factor() {
		than = " in B as in A"
	}
	switch m.Verdict {
	case Confounded:
		return c.confounded()
	case Same:
		return fmt.Sprintf("%s is the same in all runs of both (%s).", m.Label, runs)
	case NotTested:
		return fmt.Sprintf("%s is %s%s, by %s: the scatter of the runs is unknown, so it cannot be distinguished "+
			"from chance.%s Run 3 to 5 cycles of each.", m.Label, value, than, runs, own(m, a, b))
	case NotTold:
		lies := "lies " + between
		if m.Ratio != nil && m.factor() {
			lies = "is " + between + " A"
		}
		return fmt.Sprintf("Whether %s differs cannot be told with %s: B %s (95 %%). %s", m.Label, runs, lies,
			m.limits())
	}
	if between == "" {
		return fmt.Sprintf("%s is %s%s, with the same change in every run (%s).", m.Label, value, than, runs)
	}
	return fmt.Sprintf("%s is %s%s (95 %%: %s; %s).", m.Label, value, than, between, runs)
}

// most is the number of cycles above which no number is given.
const most = 200

// limits returns what these runs can show, and what more of them could; empty if unknown.
func (m Metric) limits() string {
	v := m.Visible
	if v == nil {
		return ""
	}
	n := min(m.NA, m.NB)
	text := fmt.Sprintf("With %d, a difference can be told if it is %s", n, m.least(v.From))
	if n < five {
		text += fmt.Sprintf(", with %d, %s", five, m.least(v.FromFive))
	}
	seen := m.Difference
	if m.Ratio != nil {
		seen = *m.Ratio - 1
	}
	switch {
	case seen == 0:
	case v.Needed == 0 || v.Needed > most:
		text += fmt.Sprintf("; the %s seen would take more than %d", m.amount(math.Abs(seen)), most)
	case v.Needed > n:
		text += fmt.Sprintf("; the %s seen would take about %d", m.amount(math.Abs(seen)), v.Needed)
	}
	return text + "."
}

// least returns the smallest of the differences that can be told.
func (m Metric) least(v float64) string {
	text := m.amount(v)
	if strings.HasPrefix(text, "over ") {
		return text
	}
	return text + " or more"
}

// amount returns a difference as a percentage, or in the unit without a ratio.
func (m Metric) amount(v float64) string {
	if m.Ratio == nil {
		return digits.SI(v, m.Unit)
	}
	return Amount(v)
}

// Amount returns a relative difference as a percentage, or as a factor.
func Amount(v float64) string {
	if v > 99 {
		return "over 100 times"
	}
	if v > 9 {
		return digits.Significant(1+v, 2) + " times"
	}
	return digits.Significant(100*v, 2) + " %"
}

// own returns the intervals of two single runs, if they have one.
func own(m Metric, a, b Side) string {
	var texts []string
	for _, s := range []Side{a, b} {
		q := s.Runs[0].Energy.PerOutputTokenJ
		if m.Name != primaries[0] || len(s.Runs) != 1 || q == nil {
			return ""
		}
		texts = append(texts, digits.SI(q.CI95[0], m.Unit)+" to "+digits.SI(q.CI95[1], m.Unit))
	}
	return fmt.Sprintf(" The runs' own 95 %% intervals, of the sensor alone, are %s in A and %s in B.", texts[0],
		texts[1])
}

// Word returns a verdict in a column.
func (v Verdict) Word() string {
	switch v {
	case MaybeLower:
		return "lower?"
	case MaybeHigher:
		return "higher?"
	case NotTested:
		return "–"
	case NotTold:
		return "unclear"
	}
	return string(v)
}

// Chance returns a p-value behind its sign.
func Chance(p float64) string {
	if p < 1e-4 {
		return "< 0.0001"
	}
	return "= " + digits.Significant(p, 2)
}

// Together returns how the other metrics are tested.
func Together(others int) string {
	if others < 2 {
		return ""
	}
	return fmt.Sprintf(", the other %d together (Holm; ? marks what may be chance among so many)", others)
}
