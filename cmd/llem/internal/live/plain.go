package live

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
)

// plain prints each phase as a line.
type plain struct {
	out     io.Writer
	color   bool
	style   chart.Style
	now     func() time.Time
	started time.Time
	labels  map[string]string // of experiments
	// leftOut is the line of the last run if it failed without being started; as many others do for the same reason.
	leftOut string
	running bool
}

func (p *plain) observe(e event.Event) {
	switch e := e.(type) {
	case event.StudyStarted:
		p.started = p.now() // of what precedes the first run
		p.labels = map[string]string{}
		for _, x := range e.Experiments {
			p.labels[x.ID] = x.Label
		}
		if e.Runs > 1 {
			p.line("%d runs%s, results in %s", e.Runs, plannedText(e), e.Dir)
		}
	case event.RunStarted:
		p.started, p.running = p.now(), true
		p.line("[%d/%d] %s, cycle %d", e.Index, e.Total, e.Label, e.Cycle)
	case event.PhaseStarted:
		p.line("  %6s %-8s %s", clockText(p.now().Sub(p.started)), e.Phase, e.Detail)
	case event.Note:
		p.line("%s: %s", p.paint("33", codes.WordOf(e.Code)), e.Message)
	case event.RunFinished:
		if e.Worker != "" {
			p.other(e)
			return
		}
		status := strings.TrimSpace(e.Status + " " + numbers(e))
		if e.Status != statusOK {
			status = p.paint("31", e.Status)
		}
		line := fmt.Sprintf("  %6s %s", clockText(e.Took), strings.TrimSpace(status+" "+reason(e)))
		if p.running || line != p.leftOut {
			p.line("%s", line)
		}
		if p.leftOut = line; p.running {
			p.leftOut = ""
		}
		p.running = false
	}
}

// reason returns why a run has no result, unless its status says as much.
func reason(e event.RunFinished) string {
	if e.Message == e.Status {
		return ""
	}
	return e.Message
}

// other prints the run of another worker.
func (p *plain) other(e event.RunFinished) {
	status := strings.TrimSpace(e.Status + " " + numbers(e))
	if e.Status != statusOK {
		status = p.paint("31", e.Status)
	}
	label := e.ID
	if l := p.labels[e.ID]; l != "" {
		label = l
	}
	p.line("worker %s: %s, cycle %d: %s", e.Worker, label, e.Cycle, strings.TrimSpace(status+" "+reason(e)))
}

func (p *plain) line(format string, args ...any) {
	fmt.Fprintln(p.out, p.style.Text(strings.TrimRight(fmt.Sprintf(format, args...), " ")))
}

func (p *plain) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// clockText prints 0:07, 12:03, 1:02:03.
func clockText(t time.Duration) string {
	s := int(t.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
