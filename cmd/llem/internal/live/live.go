// Package live shows what a running study does, from its events: a view that is kept
// up to date on a terminal, plain lines elsewhere. It knows nothing of results.
//
//	event ─ Observe ─▶ view (counts, grid, current run) ─ 4 times a second ─▶ screen
//	                └▶ plain lines
//
// What the other workers of a study do is read from its folder.
//
// Observe only takes note, since meters and engines wait for it. All drawing is done
// by a goroutine of the display. The terminal stays as it is: it is never put into raw
// mode, nothing is read from it, and signals are the program's.
package live

import (
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/running"
)

// Display shows events. Observe may be called from several goroutines.
type Display struct {
	now func() time.Time

	mu     sync.Mutex
	plain  *plain // off a terminal
	view   *view  // on a terminal, with screen
	screen *screen
	looked time.Time // at the other workers
}

// Options of a display.
type Options struct {
	// Terminal keeps a view of the study up to date; otherwise each phase is a line.
	Terminal bool
	Color    bool
	// Style is the set of characters of the terminal.
	Style chart.Style
	// Watch shows the workers of a study, of which this process is none.
	Watch bool
	// Link is an address at which the study can be watched; empty for none.
	Link string
	Now  func() time.Time
}

// New makes a display on out. Close it when the study is over.
func New(out io.Writer, o Options) *Display {
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Display{now: o.Now}
	if o.Terminal {
		d.view = newView(o.Color, o.Style)
		d.view.link, d.view.watch = o.Link, o.Watch
		d.screen = newScreen(out, o.Color, d)
	} else {
		d.plain = &plain{out: out, color: o.Color, style: o.Style, now: o.Now}
		if o.Link != "" {
			d.plain.line("watch: %s", o.Link)
		}
	}
	return d
}

// Observe takes an event.
func (d *Display) Observe(e event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plain != nil {
		d.plain.observe(e)
		return
	}
	d.view.observe(e, d.now())
}

// Say prints a lasting line.
func (d *Display) Say(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plain != nil {
		d.plain.line("%s", text)
		return
	}
	d.view.print("%s", text)
}

// Close ends the display. Lasting lines stay, the view is removed.
func (d *Display) Close() {
	if d.screen != nil {
		d.screen.close()
	}
}

// frame is the current content of the screen.
func (d *Display) frame(width, height int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.view.style.Text(d.view.render(width, height, d.now()))
}

// lookEvery is the time between two looks at the other workers.
const lookEvery = 2 * time.Second

// look finds out what the other workers of a study do. The folder may be on a slow server, and
// nobody waits for it here.
func (d *Display) look() {
	d.mu.Lock()
	dir, now := d.view.study.Dir, d.now()
	due := (d.view.watch || d.view.study.Worker != "") && dir != "" && now.Sub(d.looked) >= lookEvery
	d.mu.Unlock()
	if !due {
		return
	}
	all, err := running.Read(os.DirFS(dir))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.looked = now; err == nil {
		d.view.setCrew(slices.DeleteFunc(all, func(s running.State) bool {
			return s.Worker == "" || s.Worker == d.view.study.Worker
		}))
	}
}

// tick lets time go on and takes the lasting lines that have not been printed.
func (d *Display) tick() []string {
	d.look()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.view.sample()
	lines := d.view.lines
	d.view.lines = nil
	for i, line := range lines {
		lines[i] = d.view.style.Text(line)
	}
	return lines
}
