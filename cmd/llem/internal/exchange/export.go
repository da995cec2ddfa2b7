// Package exchange is how results go to other benchmarks' formats and how theirs come in for comparison: the runs of a
// study written as files of others, and imported numbers as text, beside each other or beside a configuration. What
// was not measured by llem says so in every output.
package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/foreign"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// Export writes the runs of a study in the format of others.
type Export struct {
	// Study has the runs.
	Study *result.StudyResult
	// RunDir is the folder of the run if the study is one run.
	RunDir string
	// Format is theirs.
	Format foreign.Format
	// Out is a file or a folder; empty is standard output, for one file.
	Out string
	// Stdout is standard output.
	Stdout io.Writer
	// Tell reports something beside the result, in whole sentences.
	Tell func(string)
}

// document is one file of the format.
type document struct {
	name string
	text []byte
}

// Write writes the files and names them.
func (e Export) Write() error {
	runs, err := e.runs()
	if err != nil {
		return err
	}
	documents, err := e.documents(runs)
	if err != nil {
		return err
	}
	if e.Out == "" {
		if len(documents) > 1 {
			return &foreign.Mistake{
				What: fmt.Sprintf("%s has a file for each run, and there are %s", e.Format.Tool(),
					digits.Count(len(documents), "run")),
				Next: "name a folder with -o, or one run: " +
					shell.Quote(shell.Short(e.Study.Dir)+":"+runs[0].Record.ID)}
		}
		_, err := e.Stdout.Write(documents[0].text)
		return err
	}
	if strings.EqualFold(filepath.Ext(e.Out), ".json") && len(documents) == 1 {
		return e.put(e.Out, documents[0].text)
	}
	if strings.EqualFold(filepath.Ext(e.Out), ".json") {
		return &foreign.Mistake{What: fmt.Sprintf("-o %s is one file, and there are %s", e.Out,
			digits.Count(len(documents), "run")), Next: "name a folder"}
	}
	for _, d := range documents {
		if err := e.put(filepath.Join(e.Out, filepath.FromSlash(d.name)), d.text); err != nil {
			return err
		}
	}
	return nil
}

// documents are the files of runs.
func (e Export) documents(runs []foreign.Run) (out []document, err error) {
	if e.Format.Together() {
		text, err := foreign.Write(e.Format, runs)
		return []document{{e.Format.File(), text}}, err
	}
	for i := range runs {
		text, err := foreign.Write(e.Format, runs[i:i+1])
		if err != nil {
			return nil, err
		}
		r := runs[i].Record
		out = append(out, document{fmt.Sprintf("%s-c%d/%s", r.ID, r.Cycle, e.Format.File()), text})
	}
	return out, nil
}

// put writes a file, which must be new or one that llem wrote.
func (e Export) put(path string, text []byte) error {
	old, err := disk.ReadFile(path, disk.MaxList)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && len(old) > 0 && !bytes.Contains(old, []byte(`"measured_by": "llem"`)) {
		return &foreign.Mistake{What: path + " is there already, and llem did not write it",
			Next: "name another file or folder with -o"}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return disk.Problem("create", filepath.Dir(path), err)
	}
	if err := disk.WriteFile(path, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Stdout, path)
	return err
}

// runs reads the runs that can be written, with their requests, and tells which cannot.
func (e Export) runs() (out []foreign.Run, err error) {
	names, left, energy := view.Naming(e.Study), 0, ""
	why := ""
	for r, err := range e.Study.Records() {
		if err != nil {
			return nil, err
		}
		reason := foreign.Writable(r)
		dir := e.RunDir
		if dir == "" {
			dir = filepath.Join(e.Study.Dir, filepath.FromSlash(result.RunPath(r.ID, r.Cycle)))
		}
		var requests []series.Request
		if reason == "" {
			requests, err = series.ReadFile[series.Request](filepath.Join(dir, r.Files["requests"]))
			if errors.Is(err, fs.ErrNotExist) {
				reason = "its requests.parquet is not there"
			} else if err != nil {
				return nil, err
			}
		}
		if reason != "" {
			left, why = left+1, fmt.Sprintf("%s-c%d: %s", r.ID, r.Cycle, reason)
			continue
		}
		if p := r.Energy.Provenance.Of(r.Backend.Name); p != result.Measured && r.Energy.TotalJ != nil {
			energy = string(p)
		}
		out = append(out, foreign.Run{Study: filepath.Base(e.Study.Dir), Label: names.Label(r.Config), Record: r,
			Requests: requests})
	}
	if left > 0 {
		e.Tell(fmt.Sprintf("%s left out; the last: %s", digits.Count(left, "run"), why))
	}
	if len(out) == 0 {
		return nil, &foreign.Mistake{What: "there is no run to write", Next: "llem report " + shell.Path(e.Study.Dir) +
			" prints why"}
	}
	if energy != "" && e.Format.HasEnergy() {
		e.Tell("energy is left out: it is " + energy + ", and files of " + e.Format.Tool() + " cannot say so")
	}
	return out, nil
}
