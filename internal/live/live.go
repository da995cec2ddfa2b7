// Package live shows what a running study does, from its events: a status line on
// a terminal, plain lines elsewhere. It knows nothing of results.
package live

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/unit"
)

// Display prints events. Observe may be called from several goroutines.
type Display struct {
	out      io.Writer
	terminal bool
	color    bool
	now      func() time.Time

	mu       sync.Mutex
	run      event.RunStarted
	phase    event.PhaseStarted
	progress event.Progress
	watts    map[string]float64
	started  time.Time
	drawn    bool
	stop     chan struct{}
	stopped  sync.WaitGroup
}

// Options of a display.
type Options struct {
	// Terminal keeps one status line up to date; otherwise each phase is a line.
	Terminal bool
	Color    bool
	Now      func() time.Time
}

// New makes a display on out. Close it when the study is over.
func New(out io.Writer, o Options) *Display {
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Display{out: out, terminal: o.Terminal, color: o.Color, now: o.Now, watts: map[string]float64{}, stop: make(chan struct{})}
	if d.terminal {
		d.stopped.Go(d.tick)
	}
	return d
}

// refresh is how often the status line is drawn.
const refresh = 250 * time.Millisecond

// tick redraws the line so that time goes on without events.
func (d *Display) tick() {
	t := time.NewTicker(refresh)
	defer t.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-t.C:
			d.mu.Lock()
			d.draw()
			d.mu.Unlock()
		}
	}
}

// Close ends the display and clears the status line.
func (d *Display) Close() {
	close(d.stop)
	d.stopped.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
}

// Observe takes an event.
func (d *Display) Observe(e event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e := e.(type) {
	case event.StudyStarted:
		if e.Runs > 1 {
			d.line("%d runs, results in %s", e.Runs, e.Dir)
		}
	case event.RunStarted:
		d.run, d.phase, d.progress, d.started = e, event.PhaseStarted{}, event.Progress{}, d.now()
		if e.Total > 1 || !d.terminal {
			d.line("[%d/%d] %s, cycle %d", e.Index, e.Total, e.Label, e.Cycle)
		}
	case event.PhaseStarted:
		d.phase, d.progress = e, event.Progress{Phase: e.Phase}
		clear(d.watts) // sensors are not read in every phase: no value is better than an old one
		if !d.terminal {
			d.line("  %6s %-8s %s", d.elapsed(), e.Phase, e.Detail)
		}
	case event.Progress:
		if e.Phase == d.phase.Phase { // a late one would fill the bar of the next phase
			d.progress = e
		}
	case event.Power:
		d.watts[e.Device] = e.Watts
	case event.Note:
		d.line("%s: %s", d.paint("33", "warning"), e.Message)
	case event.RunFinished:
		d.finished(e)
	}
}

func (d *Display) finished(e event.RunFinished) {
	if e.Total > 1 || e.Status != "ok" || !d.terminal {
		status := e.Status
		if e.Status != "ok" {
			status = d.paint("31", status)
		}
		d.line("  %6s %s", clockText(e.Took), strings.TrimSpace(status+" "+e.Message))
	}
}

func (d *Display) paint(code, s string) string {
	if !d.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Control sequences of the status line. A line that is longer than the terminal is
// wide must not wrap: only its last row could be erased.
const (
	erase  = "\r\x1b[K"
	noWrap = "\x1b[?7l"
	wrap   = "\x1b[?7h"
)

// line prints a lasting line above the status line.
func (d *Display) line(format string, args ...any) {
	d.clear()
	fmt.Fprintln(d.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	d.draw()
}

func (d *Display) clear() {
	if d.drawn {
		io.WriteString(d.out, erase)
		d.drawn = false
	}
}

// barWidth is the width of the bar in columns.
const barWidth = 20

func (d *Display) draw() {
	if !d.terminal || d.phase.Phase == "" {
		return
	}
	filled := int(d.progress.Fraction*barWidth + 0.5)
	filled = max(0, min(barWidth, filled))
	detail := d.progress.Detail
	if detail == "" {
		detail = d.phase.Detail
	}
	parts := []string{
		fmt.Sprintf("%-8s", d.phase.Phase),
		strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled),
		d.elapsed(),
	}
	if p := d.power(); p != "" {
		parts = append(parts, p)
	}
	line := strings.TrimRight(strings.Join(append(parts, detail), "  "), " ")
	io.WriteString(d.out, erase+noWrap+line+wrap)
	d.drawn = true
}

// power adds up the newest values of all devices.
func (d *Display) power() string {
	if len(d.watts) == 0 {
		return ""
	}
	names := make([]string, 0, len(d.watts))
	sum := 0.0
	for name, w := range d.watts {
		names = append(names, name)
		sum += w
	}
	sort.Strings(names)
	return fmt.Sprintf("%s (%s)", unit.SI(sum, "W"), strings.Join(names, "+"))
}

func (d *Display) elapsed() string { return clockText(d.now().Sub(d.started)) }

// clockText prints 0:07, 12:03, 1:02:03.
func clockText(t time.Duration) string {
	s := int(t.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
