package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/compare"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/nodes"
)

// choice is a configuration that can be compared.
type choice struct{ Value, Label string }

// comparedMetric is a line of a comparison.
type comparedMetric struct {
	Label, A, B, Change, Interval, Verdict, P string
}

// compared is the page of a comparison.
type compared struct {
	A, B    string // KEY:ID
	Choices []choice
	Problem string
	Found   *compare.Comparison
	Lines   []comparedMetric
	NameA   string
	NameB   string
	Differ  []report.ComparedKey
}

// maxChoices is the number of configurations of a list.
const maxChoices = 2000

// compare compares two configurations of any studies, or asks which.
func (s *Server) compare(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p := compared{A: q.Get("a"), B: q.Get("b")}
	for _, st := range newest(s.library.list()) {
		res, _ := s.library.head(st)
		if res == nil {
			continue
		}
		for _, c := range configurations(res) {
			if c.OK > 0 && len(p.Choices) < maxChoices {
				label := st.name(res) + ": " + c.Label + " (" + c.ID + ")"
				p.Choices = append(p.Choices, choice{st.Key + ":" + c.ID, label})
			}
		}
	}
	if p.A != "" && p.B != "" {
		if err := s.fill(&p); err != nil {
			p.Problem = err.Error()
		}
	}
	s.page(w, "compare", p)
}

// fill compares.
func (s *Server) fill(p *compared) error {
	a, err := s.side(p.A)
	if err != nil {
		return fmt.Errorf("configuration A: %w", err)
	}
	b, err := s.side(p.B)
	if err != nil {
		return fmt.Errorf("configuration B: %w", err)
	}
	if p.Found, err = compare.Sides(a, b, compare.Options{}); err != nil {
		return err
	}
	p.NameA, p.NameB = report.Sides(a.Runs), report.Sides(b.Runs)
	p.Differ = report.Differing(a.Runs[0].Config, b.Runs[0].Config)
	for _, m := range p.Found.Metrics {
		l := comparedMetric{Label: m.Label, A: view.Value(m.A, m.Unit), B: view.Value(m.B, m.Unit),
			Verdict: string(m.Verdict)}
		l.Change, l.Interval = m.Change()
		if m.Test != nil {
			l.P = digits.Significant(m.Test.PAdjusted, 2)
		}
		p.Lines = append(p.Lines, l)
	}
	return nil
}

// errChoice: a request names no configuration.
var errChoice = errors.New("there is no such configuration")

// side reads the comparable runs of a configuration, KEY:ID.
func (s *Server) side(name string) (compare.Side, error) {
	key, id, _ := strings.Cut(name, ":")
	st := s.library.study(key)
	if st == nil {
		return compare.Side{}, errChoice
	}
	res, err := st.read()
	if res == nil {
		return compare.Side{}, err
	}
	out, err := compare.SideOf(res, id)
	if err != nil {
		return compare.Side{}, err
	}
	out.Machine = nodes.Machine(st.path)
	if len(out.Runs) == 0 {
		return compare.Side{}, errors.New("no run of it can be compared")
	}
	return out, nil
}
