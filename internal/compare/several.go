package compare

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/stats"
)

// Jointly gives the metrics of several comparisons of one question their verdicts, such as of two configurations
// at each of several loads: the primary metric of all of them is tested together, and all other metrics together, so
// that the probability of any false finding about the primary metric stays below 5 %, and among the others, too
// (Holm). The answers of the comparisons are emptied, because each would be about one of them alone.
func Jointly(all []*Comparison, primary string) error {
	var first, others []*Metric
	for _, c := range all {
		c.Answer, c.Primary = "", primary
		for i := range c.Metrics {
			if m := &c.Metrics[i]; m.Test == nil {
				continue
			} else if m.Name == primary {
				first = append(first, m)
			} else {
				others = append(others, m)
			}
		}
	}
	for _, family := range [][]*Metric{first, others} {
		p := make([]float64, len(family))
		for i, m := range family {
			p[i] = m.Test.P
		}
		adjusted, err := stats.Holm(p)
		if err != nil {
			return fmt.Errorf("correct for the number of loads and metrics: %w", err)
		}
		for i, m := range family {
			m.Test.PAdjusted, m.Verdict = adjusted[i], NotTold
			m.decide()
			m.Visible = m.visible(level / float64(len(p)))
		}
	}
	return nil
}
