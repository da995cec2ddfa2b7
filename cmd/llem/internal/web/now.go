package web

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
)

// problemClass is the style of what needs attention.
const problemClass = "problem"

// now is what a study does at this moment, from the files of the processes that run it.
type now struct {
	// Text reports whether the study runs, and Class is "problem" if it should and does not.
	Text  string
	Class string
	// Complete reports whether nothing is left to do.
	Complete bool
	// Finished and Planned count the runs of the study, as far as its processes know.
	Finished, Planned int
	// Workers are the processes.
	Workers []worker
}

// worker is one process that runs a study.
type worker struct {
	running.State
	// Title names the process if there are several.
	Title string
	// Live reports whether the process exists, as far as this machine knows: only then is its state the present.
	Live bool
	// Run is the current run; empty between two runs.
	Run string
	// Phases are the phases of a run.
	Phases []phase
	// Doing is the phase with its work, and since when.
	Doing string
	// Requests, Tokens, LeftRun and LeftStudy are empty if unknown.
	Requests, Tokens, LeftRun, LeftStudy string
	// Meters are the devices.
	Meters []meter
	// Provisional reports whether numbers are shown that the record of a run replaces.
	Provisional bool
}

// phase is a phase of a run.
type phase struct {
	Name    string
	Current bool
}

// meter is a metered device with its power.
type meter struct {
	running.Device
	Watts, Window, Total string
	Spark                template.HTML // drawn here: numbers only
}

// phaseNames are the words for the phases of a run, in their order.
var phaseNames = []struct {
	phase event.Phase
	name  string
}{{event.Prepare, "prepare"}, {event.Baseline, "baseline"}, {event.Load, "start"}, {event.Warmup, "warm-up"},
	{event.Measure, "window"}, {event.Finish, "join"}}

// nowOf reads what a study does.
func (s *Server) nowOf(st *study) now {
	states := st.states()
	if s.ended(st) {
		return now{Text: "All runs have finished.", Complete: true}
	}
	if len(states) == 0 {
		return now{Text: s.notRunning(st), Class: problemClass}
	}
	out := now{}
	var texts []string
	run := 0 // processes
	for i := range states {
		w := workerOf(states[i], time.Now())
		text := standing(&states[i], st)
		if states[i].Standing() == running.Running {
			if run++; run > 1 {
				text = ""
			}
		}
		if len(states) > 1 {
			w.Title = fmt.Sprintf("Process %d on %s", w.Process.PID, w.Process.Host)
		}
		if w.Worker != "" {
			w.Title = fmt.Sprintf("Worker %s on %s", w.Worker, w.Process.Host)
		}
		if !w.Live {
			out.Class = problemClass
		}
		out.Finished, out.Planned = max(out.Finished, w.Finished), max(out.Planned, w.Planned)
		if text != "" {
			texts = append(texts, text)
		}
		out.Workers = append(out.Workers, w)
	}
	out.Text = strings.Join(texts, " ")
	if run > 1 {
		out.Text += fmt.Sprintf(" %d processes run the study.", run)
	}
	return out
}

// states reads the files of the processes that run a study.
func (st *study) states() []running.State {
	root, err := st.open()
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }()
	all, _ := running.Read(root.FS()) // what cannot be read is not shown
	return all
}

// resume is how a study is continued.
func (st *study) resume() string {
	return "`llem run --resume=" + shell.Path(st.Folder) + "` continues it."
}

// standing reports whether a process runs.
func standing(s *running.State, st *study) string {
	who := fmt.Sprintf("process %d on %s", s.Process.PID, s.Process.Host)
	switch s.Standing() {
	case running.Running:
		return fmt.Sprintf("Running: %d of %d runs finished.", s.Finished, s.Planned)
	case running.Paused:
		return fmt.Sprintf("Paused: %s is stopped. `kill -CONT %d` continues it.", who, s.Process.PID)
	case running.Died:
		return "Died: " + who + " is gone and has not finished the study. " + st.resume()
	}
	return fmt.Sprintf("Whether %s still runs cannot be known here: it is another machine or container. It "+
		"last wrote at "+
		"%s UTC.", who, s.Written.UTC().Format(time.TimeOnly))
}

// notRunning returns why a study without a process is not complete.
func (s *Server) notRunning(st *study) string {
	res, _ := s.library.head(st)
	why := ""
	if res != nil {
		why = map[result.Ended]string{result.EndTimeout: ": its time limit was reached",
			result.EndInterrupted: ": it was interrupted", result.EndFailFast: ": it stopped at its first failed run",
			result.EndFailures: ": runs were left out after failures",
			result.EndError:    ": it ended with an error"}[res.Ended]
	}
	return "Not running" + why + ". " + st.resume()
}

// workerOf describes a process.
func workerOf(s running.State, at time.Time) worker {
	w := worker{State: s}
	is := s.Standing()
	w.Live = is == running.Running || is == running.Paused
	if !w.Live {
		at = s.Written // nothing is known of later
	}
	w.Doing = "between two runs"
	for _, p := range phaseNames {
		current := s.Run != nil && p.phase == s.Phase
		if current {
			w.Doing = p.name
		}
		w.Phases = append(w.Phases, phase{p.name, current})
	}
	if s.Detail != "" && s.Phase != event.Measure { // the requests of a window have a place of their own
		w.Doing += ", " + s.Detail
	}
	w.Doing += ", for " + clockText(at.Sub(s.Since))
	if r := s.Run; r != nil {
		w.Run = fmt.Sprintf("%d of %d: %s, cycle %d", r.Index, s.Planned, nameOr(r.Label, r.ID), r.Cycle)
		if r.Requests > 0 {
			w.Requests = fmt.Sprintf("%d of %d", r.Done, r.Requests)
		}
		if r.TokensPerS != nil {
			w.Tokens, w.Provisional = digits.Significant(*r.TokensPerS, 3)+" 1/s", true
		}
	}
	if is == running.Running {
		w.left(at)
	}
	for _, d := range s.Devices {
		m := meter{Device: d, Watts: "–", Spark: spark(d.History)}
		if d.Watts != nil && w.Live {
			m.Watts = digits.SI(*d.Watts, "W")
		}
		if d.WindowJ != nil {
			m.Window, w.Provisional = digits.SI(*d.WindowJ, "J"), true
		}
		m.Total = digits.SI(d.TotalJ, "J")
		w.Meters = append(w.Meters, m)
	}
	return w
}

// left sets how long the run and the study still take, at a time.
func (w *worker) left(at time.Time) {
	if r := w.State.Run; r != nil {
		w.LeftRun = leftText(r.LeftS, "")
	}
	w.LeftStudy = leftText(w.LeftS, at.Add(secondsOf(w.LeftS)).UTC().Format(", until 15:04 UTC"))
	if plan := w.PlanS; w.LeftS == nil && plan != nil {
		spent := at.Sub(w.Began).Seconds()
		low, high := max(0, plan[0]-spent), max(0, plan[1]-spent)
		w.LeftStudy = clockText(secondsOf(&low)) + " to " + clockText(secondsOf(&high)) + ", by the plan"
	}
}

func nameOr(label, id string) string {
	if label == "" {
		return id
	}
	return label
}

// leftText returns how long something takes; empty if unknown.
func leftText(s *float64, until string) string {
	if s == nil {
		return ""
	}
	return "about " + clockText(secondsOf(s)) + until
}

func secondsOf(s *float64) time.Duration {
	if s == nil {
		return 0
	}
	return digits.Duration(*s)
}

// clockText prints 0:07, 12:03, 5 h 20 min.
func clockText(d time.Duration) string {
	d = max(0, d)
	if d >= time.Hour {
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d:%02d", d/time.Minute, d%time.Minute/time.Second)
}

// sparkWidth and sparkHeight are the size of a small chart, in pixels.
const sparkWidth, sparkHeight = 180, 32

// leastValues is the number of values that a small chart has room for at least.
const leastValues = 30

// spark draws the newest values from zero to their maximum, with gaps where there are none.
func spark(values []*float64) template.HTML {
	top := 0.0
	for _, v := range values {
		if v != nil {
			top = max(top, *v)
		}
	}
	if top == 0 {
		return ""
	}
	var path strings.Builder
	pen := "M"
	step := sparkWidth / float64(max(len(values), leastValues))
	for i, v := range values {
		if v == nil {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, (float64(i)+0.5)*step, 2+(1-*v/top)*(sparkHeight-4))
		pen = "L"
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" role="img" aria-label="power of the last `+
		`%d s, at most %s"><path d="%s"/></svg>`, sparkWidth, sparkHeight, len(values), digits.SI(top,
		"W"), path.String()))
}

// fragment renders a template to text.
func (s *Server) fragment(name string, data any) (string, error) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return b.String(), nil
}

// live is the page that follows an unfinished study.
func (s *Server) live(w http.ResponseWriter, _ *http.Request, st *study) {
	s.page(w, "live", s.followed(st))
}

// followed is what the pages of an unfinished study show when they are loaded.
type followed struct {
	line
	Now now
}

func (s *Server) followed(st *study) followed { return followed{s.line(st), s.nowOf(st)} }
