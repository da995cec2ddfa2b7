package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/page"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// energyMetric is the number that the lists show.
const energyMetric = "energy.per_output_token_j"

//go:embed *.html style.css live.js
var assets embed.FS

// page writes a page from a template of pages.html.
func (s *Server) page(w http.ResponseWriter, name string, data any) {
	text, err := s.fragment(name, data)
	if err != nil {
		http.Error(w, "the page cannot be written: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// asset sends an embedded file.
func (s *Server) asset(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := assets.ReadFile(name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(text)
	}
}

// line is a study in the index.
type line struct {
	*study
	Name, Models, Engines, Devices string
	OK, Planned                    int
	Complete                       bool
	Energy                         string
	Changed                        string
	// Problem is why nothing is known of the study.
	Problem string
	// Damage names damaged files.
	Damage string
	// Doing is what an unfinished study does: running, paused, died or unfinished.
	Doing string
}

// line describes a study.
func (s *Server) line(st *study) line {
	l := line{study: st, Name: filepath.Base(st.path), Changed: st.state().changed().UTC().Format("2006-01-02 15:04")}
	res, err := s.library.head(st)
	var states []running.State
	if !s.ended(st) {
		states = st.states()
		l.Doing = doing(states)
	}
	if res == nil {
		l.Problem = "no run has finished"
		if err != nil && !st.empty() {
			l.Problem = "cannot be read: llem report " + shell.Path(st.Folder) + " says why"
		}
		return l
	}
	if err != nil {
		l.Damage = err.Error()
	}
	l.Name, l.OK, l.Planned, l.Complete = st.name(res), res.OK, res.Planned, res.Complete && len(states) == 0
	var models, engines, devices, sources []string
	var energies []float64
	for _, e := range res.Experiments {
		models, engines = append(models, e.Config.Model), append(engines, e.Config.Backend)
		if e.Device != "" {
			devices = append(devices, e.Device)
		}
		if f, ok := view.FigureOf(&e, energyMetric); ok {
			energies, sources = append(energies, f.Value), append(sources, string(e.Provenance))
		}
	}
	l.Models, l.Engines, l.Devices = some(models), some(engines), some(devices)
	if len(energies) > 0 {
		low, high := slices.Min(energies), slices.Max(energies)
		l.Energy = view.Value(low, "J")
		if high > low {
			l.Energy += " – " + view.Value(high, "J")
		}
		l.Energy += ", " + some(sources)
	}
	return l
}

// doing is one word for what the processes of an unfinished study do.
func doing(states []running.State) string {
	found := "unfinished"
	for i := range states {
		switch is := states[i].Standing(); is {
		case running.Running:
			return string(is)
		case running.Paused, running.Died:
			found = string(is)
		}
	}
	return found
}

// name returns the name of a study, or the name of its folder.
func (st *study) name(res *result.StudyResult) string {
	if res.Name == "" {
		return filepath.Base(st.path)
	}
	return res.Name
}

// empty reports whether no line of the journal was written.
func (st *study) empty() bool {
	at := st.state()
	return at.journal.size == 0 && at.summary.size == 0
}

// maxNamed is the number of names in a cell.
const maxNamed = 3

// some lists the first distinct texts.
func some(all []string) string {
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxNamed {
		return strings.Join(all[:maxNamed], ", ") + fmt.Sprintf(" and %d more", len(all)-maxNamed)
	}
	return strings.Join(all, ", ")
}

// has reports whether a line has all words of a search.
func (l line) has(words []string) bool {
	text := strings.ToLower(strings.Join([]string{l.Name, l.Folder, l.Models, l.Engines, l.Devices}, "\n"))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// index lists the studies.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	words := strings.Fields(strings.ToLower(q))
	all := newest(s.library.list())
	if s.o.Only && len(all) == 1 && q == "" {
		http.Redirect(w, r, (&url.URL{Path: "/study/" + all[0].Key + "/"}).String(), http.StatusSeeOther)
		return
	}
	var lines []line
	for _, st := range all {
		if l := s.line(st); l.has(words) {
			lines = append(lines, l)
		}
	}
	s.page(w, "index", struct {
		Query   string
		Studies []line
		Of      int
		Dirs    string
	}{q, lines, len(all), strings.Join(s.o.Dirs, ", ")})
}

// configuration is a line of the page of a study.
type configuration struct {
	ID, Label, Device, Energy string
	OK, Failed                int
	// Flags are the codes of doubts about it.
	Flags []note.Code
}

// configurations lists the configurations of a study.
func configurations(res *result.StudyResult) (out []configuration) {
	names := view.Naming(res)
	for _, e := range res.Experiments {
		c := configuration{ID: e.ID, Label: names.Label(e.Config), Device: e.Device, OK: e.OK, Failed: e.Failed,
			Flags: e.Flags}
		if f, ok := view.FigureOf(&e, energyMetric); ok {
			c.Energy = view.Value(f.Value, "J")
			if f.CI95 != nil {
				c.Energy += " (" + view.Value(f.CI95[0], "J") + " to " + view.Value(f.CI95[1], "J") + ")"
			}
			c.Energy += ", " + string(e.Provenance)
		}
		out = append(out, c)
	}
	return out
}

// overview is the page of a study: its configurations, and the ways to its report, runs and files.
func (s *Server) overview(w http.ResponseWriter, _ *http.Request, st *study) {
	data := struct {
		followed
		Configurations []configuration
		Runs           []result.Row
	}{followed: s.followed(st)}
	if res, _ := s.library.head(st); res != nil {
		data.Configurations, data.Runs = configurations(res), res.Rows[:min(len(res.Rows), maxEntries)]
	}
	s.page(w, "overview", data)
}

// reports keeps the last reports, which take long to make.
type reports struct {
	mu   sync.Mutex // one report is made at a time
	last []madeReport
}

type madeReport struct {
	key  string
	at   state
	page []byte
}

// maxReports is the number of reports that are kept.
const maxReports = 4

// maxStudyFile is the size of the study file that a report shows in full, in bytes.
const maxStudyFile = 64 << 10

// report is the report of a study, as `llem report --html` writes it.
func (s *Server) report(w http.ResponseWriter, r *http.Request, st *study) {
	text, err := s.reports.of(st, s.o.Version)
	if err != nil {
		http.Error(w, "the report cannot be made; llem report "+shell.Path(st.Folder)+" says why", http.StatusNotFound)
		return
	}
	// The page has a policy of its own, with the hashes of its script and style; both apply.
	w.Header().Set("Content-Security-Policy",
		"frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	http.ServeContent(patient{w}, r, "", time.Time{}, bytes.NewReader(text))
}

// of returns the report of a study as it is now.
func (c *reports) of(st *study, version string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := st.state()
	for _, m := range c.last {
		if m.key == st.Key && m.at == at {
			return m.page, nil
		}
	}
	res, err := st.read()
	if err != nil && res == nil {
		return nil, err
	}
	o := page.Options{Version: version}
	if o.StudyFile, err = st.file(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := page.Write(&b, res, o); err != nil {
		return nil, err
	}
	c.last = slices.DeleteFunc(c.last, func(m madeReport) bool { return m.key == st.Key })
	if len(c.last) == maxReports {
		c.last = c.last[1:]
	}
	c.last = append(c.last, madeReport{st.Key, at, b.Bytes()})
	return b.Bytes(), nil
}

// file returns the study file, or its start; empty if there is none.
func (st *study) file() (string, error) {
	root, err := st.open()
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	text, err := root.ReadFile(store.StudyFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the study file: %w", err)
	case len(text) > maxStudyFile:
		return string(text[:maxStudyFile]) + "\n… (" + store.StudyFile + " has all of it)", nil
	}
	return string(text), nil
}
