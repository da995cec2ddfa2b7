package web

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/result"
)

// labels escapes the values of labels as the format of Prometheus has it.
var labels = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// gauge is a metric of the page.
type gauge struct {
	name, help string
	counter    bool // it only grows while a process runs
	lines      bytes.Buffer
}

// kind is the type of the metric.
func (g *gauge) kind() string {
	if g.counter {
		return "counter"
	}
	return "gauge"
}

// add adds a series; pairs are names and values of labels.
func (g *gauge) add(v float64, pairs ...string) {
	g.lines.WriteString(g.name + "{")
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			g.lines.WriteByte(',')
		}
		fmt.Fprintf(&g.lines, `%s="%s"`, pairs[i], labels.Replace(strings.ToValidUTF8(pairs[i+1], "�")))
	}
	g.lines.WriteString("} " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
}

// metrics writes the numbers of all studies in the text format of Prometheus.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	planned := &gauge{name: "llem_study_runs_planned", help: "Planned runs of a study."}
	made := &gauge{name: "llem_study_runs", help: "Runs of a study by outcome."}
	complete := &gauge{name: "llem_study_complete", help: "1 if no run of the study is left."}
	changed := &gauge{name: "llem_study_changed_timestamp_seconds", help: "When the study last changed."}
	energy := &gauge{name: "llem_energy_per_output_token_joules",
		help: "Mean energy per output token of a configuration over its comparable runs."}
	for _, st := range s.library.list() {
		changed.add(float64(st.state().changed().UnixMilli())/1000, "study", st.Folder)
		res, _ := s.library.head(st)
		if res == nil {
			continue
		}
		planned.add(float64(res.Planned), "study", st.Folder)
		for _, of := range []struct {
			status string
			n      int
		}{{"ok", res.OK}, {"failed", res.Failed}, {"left_out", res.LeftOut}, {"interrupted", res.Interrupted}} {
			made.add(float64(of.n), "study", st.Folder, "status", of.status)
		}
		done := 0.0
		if res.Complete {
			done = 1
		}
		complete.add(done, "study", st.Folder)
		names := view.Naming(res)
		for _, e := range res.Experiments {
			if spread, ok := e.Metrics.Get(energyMetric); ok {
				energy.add(spread.Mean, "study", st.Folder, "id", e.ID, "configuration", names.Label(e.Config),
					"provenance", string(e.Provenance))
			}
		}
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, g := range append([]*gauge{planned, made, complete, changed, energy}, s.liveMetrics()...) {
		if g.lines.Len() > 0 {
			fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s", g.name, g.help, g.name, g.kind(), g.lines.String())
		}
	}
}

// liveMetrics are the numbers of the processes that run studies. Of a process that is gone there is only that it is.
func (s *Server) liveMetrics() []*gauge {
	up := &gauge{name: "llem_live_up", help: "1 if the process that runs the study exists, 0 if it is gone."}
	watts := &gauge{name: "llem_live_power_watts", help: "Newest power of a device that is read."}
	joules := &gauge{name: "llem_live_energy_joules_total", counter: true,
		help: "Energy of a device while it was sampled, added up from displayed readings; runs have results " +
			"of their own."}
	window := &gauge{name: "llem_live_window_energy_joules", help: "The same for the window of the current run."}
	phases := &gauge{name: "llem_live_phase", help: "1 for the phase of the current run."}
	done := &gauge{name: "llem_live_run_requests_done", help: "Finished requests of the window of the current run."}
	asked := &gauge{name: "llem_live_run_requests", help: "Requests of the window of the current run."}
	tokens := &gauge{name: "llem_live_output_tokens_per_second",
		help: "Output tokens of finished requests over the time of the window so far."}
	finished := &gauge{name: "llem_live_runs_finished", help: "Finished runs of the study."}
	left := &gauge{name: "llem_live_left_seconds", help: "Estimated time that the study still takes."}
	written := &gauge{name: "llem_live_written_timestamp_seconds", help: "When the process last wrote its state."}
	for _, st := range s.library.list() {
		if s.ended(st) {
			continue
		}
		for _, p := range st.states() {
			w := workerOf(p, p.Written)
			of := []string{"study", st.Folder, "host", p.Process.Host, "pid", strconv.Itoa(p.Process.PID)}
			add := func(g *gauge, v *float64, pairs ...string) {
				if v != nil {
					g.add(*v, append(slices.Clip(of), pairs...)...)
				}
			}
			is := p.Standing()
			if is != running.Elsewhere {
				add(up, number(is != running.Died))
			}
			add(written, new(float64(p.Written.UnixMilli())/1000))
			if is == running.Died {
				continue
			}
			for _, d := range p.Devices {
				pairs := []string{"device", d.ID, "origin", nameOr(d.Origin, string(result.Measured))}
				add(watts, d.Watts, pairs...)
				add(joules, &d.TotalJ, pairs...)
				add(window, d.WindowJ, pairs...)
			}
			for _, one := range w.Phases {
				add(phases, number(one.Current), "phase", one.Name)
			}
			add(finished, new(float64(p.Finished)))
			add(left, p.LeftS)
			if r := p.Run; r != nil {
				add(done, new(float64(r.Done)))
				add(asked, new(float64(r.Requests)))
				add(tokens, r.TokensPerS)
			}
		}
	}
	return []*gauge{up, watts, joules, window, phases, done, asked, tokens, finished, left, written}
}

// number returns 1 for true.
func number(is bool) *float64 {
	if is {
		return new(1.0)
	}
	return new(0.0)
}
