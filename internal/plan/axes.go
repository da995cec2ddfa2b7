package plan

import (
	"strings"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/study"
)

// mostValues bounds the values of an axis that are listed.
const mostValues = 12

// describe lists the values of the axes.
func describe(axes []naming.Key, all []study.Experiment) []Axis {
	out := []Axis{}
	for _, f := range axes {
		a := Axis{Key: f.Name, Values: []string{}}
		seen := map[string]bool{}
		for i := range all {
			if text := f.Text(all[i]); text != "" && !seen[text] {
				seen[text] = true
				if a.Count++; a.Count <= mostValues {
					a.Values = append(a.Values, text)
				}
			}
		}
		out = append(out, a)
	}
	return out
}

// matches reports whether the label or a value, as key=value, contains the text.
func (p Point) matches(text string) bool {
	if strings.Contains(p.Label, text) {
		return true
	}
	for k, v := range p.Values {
		if strings.Contains(k+"="+v, text) {
			return true
		}
	}
	return false
}
