package cli

import (
	"context"
	"fmt"
	"sync"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/cmd/llem/internal/live"
	"github.com/llenergymeasure/llem/cmd/llem/internal/serving"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// measure runs a study, with its progress and its pages as asked for, and prints its results.
func (env *Env) measure(ctx context.Context, s *study.Study, options llem.Options, f runFlags) error {
	var observers []func(event.Event)
	options.Observe = func(e event.Event) {
		for _, observe := range observers {
			observe(e)
		}
	}
	link := ""
	if f.serve != "" {
		l, err := serving.Listen(ctx, "--serve", f.serve)
		if err != nil {
			return wrongAddress(err)
		}
		pages := serving.NewStudy(l)
		defer pages.Close(env.Stderr)
		link, observers = l.Link, append(observers, pages.Observe)
		if f.quiet {
			fmt.Fprintf(env.text(env.Stderr), "watch: %s\n", link)
		}
	}
	if f.quiet {
		res, err := llem.Run(ctx, s, options)
		return env.finish(res, err, f)
	}
	display := live.New(env.Stderr, live.Options{Terminal: env.canDraw() && !f.plain, Color: env.color(env.StderrTTY),
		Style: env.style(), Link: link})
	again := held{observe: display.Observe, on: f.resume != ""}
	observers = append(observers, again.see)
	res, err := llem.Run(ctx, s, options)
	none := err == nil && res != nil && res.Complete && again.on
	if !none {
		again.release()
	}
	display.Close()
	if none {
		env.nothingLeft(res, f.retry)
	}
	return env.finish(res, err, f)
}

// held keeps what happens before the first run back while it is on: a resumed study may have no run left.
type held struct {
	observe func(event.Event)
	mu      sync.Mutex
	on      bool
	before  []event.Event
}

// see passes an event on, or keeps it.
func (h *held) see(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, starts := e.(event.RunStarted); h.on && !starts {
		h.before = append(h.before, e)
		return
	}
	h.release()
	h.observe(e)
}

// release passes on what was kept.
func (h *held) release() {
	for _, e := range h.before {
		h.observe(e)
	}
	h.on, h.before = false, nil
}

// nothingLeft prints that the study to resume has no run left; with retried, no failed run that can run here.
func (env *Env) nothingLeft(res *result.StudyResult, retried bool) {
	next := "llem report " + shell.Path(res.Dir)
	if res.Failed > 0 && retried {
		fmt.Fprintf(env.text(env.Stderr), "llem: no other run is left, and the failed ones cannot run here: their "+
			"engine is not installed\n  next: `%s`\n", next)
		return
	}
	if res.Failed > 0 {
		next = resumeCommand(res.Dir) + " --retry-failed"
	}
	fmt.Fprintf(env.text(env.Stderr), "llem: all runs are there; nothing to run\n  next: `%s`\n", next)
}
