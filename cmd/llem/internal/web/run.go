package web

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/report"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// runName matches ID-cCYCLE, or the id alone for its first run that worked.
var runName = regexp.MustCompile(`^([0-9a-f]+)(?:-c([1-9][0-9]*))?$`)

// runPage is the page of a run.
type runPage struct {
	*study
	report.View
	Name  string // of the run: ID-cCYCLE
	Label string // of its configuration
	// Chart reports whether there is a chart of its power, and NoChart is why there is none.
	Chart   bool
	NoChart string
	Doubts  []doubt
	Files   []entry
	// Excluded is why the run is not part of means.
	Excluded []string
	// Earlier and Later are the runs of the same configuration before and after this one; empty if there is none.
	Earlier, Later string
}

// doubt is a warning of a run, with its meaning.
type doubt struct {
	note.Note
	// Word is what it is called: refused, flag, caution or note.
	Word    string
	Meaning string
}

// errRun: a request names no run of a study.
var errRun = errors.New("there is no such run")

// find returns the study and the run that a request names.
func (s *Server) find(st *study, name string) (*result.StudyResult, *result.Row, error) {
	m := runName.FindStringSubmatch(name)
	res, _ := s.library.head(st)
	if m == nil || res == nil {
		return nil, nil, errRun
	}
	cycle, _ := strconv.Atoi(m[2])
	var found *result.Row
	for i := range res.Rows {
		r := &res.Rows[i]
		if r.ID == m[1] && (cycle == 0 || r.Cycle == cycle) &&
			(found == nil || found.Status != result.OK && r.Status == result.OK) {
			found = r
		}
	}
	if found == nil {
		return nil, nil, errRun
	}
	return res, found, nil
}

// nameOfRun is the name of a run and of its folder.
func nameOfRun(r *result.Row) string { return path.Base(result.RunPath(r.ID, r.Cycle)) }

// run is the page of one run: all that `llem report DIR:ID -v` prints, its power, its doubts and its files.
func (s *Server) run(w http.ResponseWriter, r *http.Request, st *study) {
	res, row, err := s.find(st, r.PathValue("run"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if name := nameOfRun(row); name != r.PathValue("run") {
		http.Redirect(w, r, (&url.URL{Path: "/study/" + st.Key + "/run/" + name + "/"}).String(), http.StatusSeeOther)
		return
	}
	files, err := st.filesOf(row)
	var rec *result.Record
	if err == nil {
		rec, err = result.ReadRun(st.path, row.ID, row.Cycle)
	}
	if err != nil {
		http.Error(w, "the run cannot be read; llem report "+shell.Path(st.Folder)+" says why", http.StatusNotFound)
		return
	}
	p := runPage{study: st, View: report.NewView(rec), Name: nameOfRun(row), Files: files,
		Label: view.Naming(res).Label(rec.Config)}
	for _, n := range rec.Warnings {
		d := doubt{Note: n, Word: codes.WordOf(n.Code)}
		if e, ok := codes.Lookup(n.Code); ok {
			d.Meaning = e.Meaning
		}
		p.Doubts = append(p.Doubts, d)
	}
	for _, x := range store.Exclusions([]result.Row{store.RowOf(rec)}) {
		p.Excluded = append(p.Excluded, cmp.Or(x.Message, string(x.Code)))
	}
	if _, err := drawn(res, row); err != nil {
		p.NoChart = err.Error()
	} else {
		p.Chart = true
	}
	p.Earlier, p.Later = beside(res, row)
	s.page(w, "run", p)
}

// beside returns the runs of the same configuration in the cycles before and after.
func beside(res *result.StudyResult, row *result.Row) (earlier, later string) {
	var before, after *result.Row
	for i := range res.Rows {
		r := &res.Rows[i]
		switch {
		case r.ID != row.ID:
		case r.Cycle < row.Cycle && (before == nil || r.Cycle > before.Cycle):
			before = r
		case r.Cycle > row.Cycle && (after == nil || r.Cycle < after.Cycle):
			after = r
		}
	}
	if before != nil {
		earlier = nameOfRun(before)
	}
	if after != nil {
		later = nameOfRun(after)
	}
	return earlier, later
}

// filesOf lists the files of a run, none of which is a link, nor is its folder: it can be read by its path.
func (st *study) filesOf(row *result.Row) ([]entry, error) {
	root, err := st.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	name := result.RunPath(row.ID, row.Cycle)
	for _, folder := range []string{path.Dir(name), name} {
		if info, err := root.Lstat(folder); err != nil || !info.IsDir() {
			return nil, errRun
		}
	}
	list, err := fs.ReadDir(root.FS(), name)
	if err != nil {
		return nil, fmt.Errorf("list the files of the run: %w", err)
	}
	var out []entry
	for _, d := range list {
		info, err := d.Info()
		switch {
		case err != nil:
			return nil, fmt.Errorf("list the files of the run: %w", err)
		case info.Mode()&os.ModeSymlink != 0:
			return nil, fmt.Errorf("%s %w", d.Name(), errLink)
		}
		out = append(out, entry{d.Name(), info.Size(), info.IsDir()})
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// drawn makes the chart of a run's power.
func drawn(res *result.StudyResult, row *result.Row) (*picture.Picture, error) {
	return picture.New(picture.PowerChart, res, picture.Options{Run: nameOfRun(row)})
}

// Sizes of the chart of a run's power, in mm.
const chartWidth, chartHeight = 240, 90

// power draws the power of a run.
func (s *Server) power(w http.ResponseWriter, r *http.Request, st *study) {
	res, row, err := s.find(st, r.PathValue("run"))
	if err == nil {
		_, err = st.filesOf(row)
	}
	if err != nil {
		http.Error(w, errRun.Error(), http.StatusNotFound)
		return
	}
	p, err := drawn(res, row)
	var b bytes.Buffer
	if err == nil {
		style := figure.Style{WidthMM: chartWidth, HeightMM: chartHeight, FontPt: 9, Dark: r.URL.Query().Has("dark")}
		err = p.Draw(style).SVG(&b)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	http.ServeContent(patient{w}, r, "", time.Time{}, bytes.NewReader(b.Bytes()))
}
