package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
)

// labels escapes the values of labels as the format of Prometheus has it.
var labels = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// gauge is a metric of the page.
type gauge struct {
	name, help string
	lines      bytes.Buffer
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
		names := report.Naming(res)
		for _, e := range res.Experiments {
			if spread, ok := e.Metrics.Get(energyMetric); ok {
				energy.add(spread.Mean, "study", st.Folder, "id", e.ID, "configuration", names.Label(e.Config),
					"provenance", string(e.Provenance))
			}
		}
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, g := range []*gauge{planned, made, complete, changed, energy} {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n%s", g.name, g.help, g.name, g.lines.String())
	}
}
