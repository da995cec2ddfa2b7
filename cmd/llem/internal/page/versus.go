package page

import (
	"strconv"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/versus"
)

// compareLoads compares configurations with loads in pairs, each at its own loads: single configurations differ in the
// load, too.
func (b *builder) compareLoads(groups []loads.Group) error {
	if len(groups) > maxCompared {
		return nil
	}
	for i := range groups {
		for j := range groups[:i] {
			found, err := versus.Of(versus.SideOf(b.StudyResult, groups[j]), versus.SideOf(b.StudyResult, groups[i]),
				versus.Options{})
			if err != nil {
				return err
			}
			p := "–"
			if c := found.Cheapest; c != nil && c.Metric != nil && c.Metric.Test != nil {
				p = strconv.FormatFloat(c.Metric.Test.P, 'g', 2, 64)
			}
			b.model.Comparisons = append(b.model.Comparisons, comparison{groups[j].Name, groups[i].Name,
				found.Answer, p})
		}
	}
	b.model.CompareCaption = "Each pair by the cheapest load of each within the objective. `llem compare` has every " +
		"load that both have, and every metric."
	return nil
}
