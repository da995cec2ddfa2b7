// Package site writes studies as a static site: a leaderboard of their configurations, and of each study its report,
// its raw files and what a recomputation of its numbers said. It needs no server and opens from disk.
//
// Energies of different definitions are not ranked together: each kind of energy (measured, modelled, simulated) of
// each scope (GPU, CPU) has a table of its own, and gross, net and node energy are columns of their own. Nothing of the
// machine is published but what the records hold: absolute paths and the host's name are removed from the pages, and
// raw files with a secret are left out.
package site

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
)

//go:embed site.css
var style string

//go:embed site.js
var script string

//go:embed site.html
var text string

// marker is the file by which a folder is known as a site.
const marker = "llem-site.txt"

// Options are what a site is made from.
type Options struct {
	// Dirs are the folders below which studies are found, Out the folder of the site.
	Dirs []string
	Out  string
	// Title is the head of the site.
	Title string
	// Raw includes the raw files of each study.
	Raw bool
	// Version of llem, and the day of the recomputation.
	Version string
	Now     time.Time
	// Progress, if set, is told about each study.
	Progress func(text string)
}

// Made is what a site holds.
type Made struct {
	Studies, Configurations int
	// Bytes is the size of the site. Raw is the size of its raw files, packed.
	Bytes, Raw int64
	// Differ is the number of studies whose numbers do not match their raw files.
	Differ int
	// Notes are what a reader of the command's output must know: studies left out, raw files left out, and what raw
	// files tell of the machine.
	Notes []string
}

// Text is what the site holds.
func (m *Made) Text() string {
	text := digits.Count(m.Configurations, "configuration")
	if m.Studies == 1 {
		return text + " of 1 study"
	}
	return fmt.Sprintf("%s of %d studies", text, m.Studies)
}

// Error is a site that cannot be written.
type Error struct{ What, Next string }

// Error returns what is wrong.
func (e *Error) Error() string { return e.What }

// NextStep returns what to do about it.
func (e *Error) NextStep() string { return e.Next }

// Write writes the site, as a whole or not at all.
func Write(o Options) (*Made, error) {
	out, err := filepath.Abs(o.Out)
	if err != nil {
		return nil, fmt.Errorf("find the folder %s: %w", o.Out, err)
	}
	if err := replaceable(out, o.Dirs); err != nil {
		return nil, err
	}
	found, err := find(o.Dirs)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &Error{"there is no study below " + strings.Join(o.Dirs, ", "),
			"give folders with studies, such as the -o of `llem run`"}
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".tmp-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	b := builder{Options: o, dir: tmp, made: &Made{}, seen: map[string]bool{}, private: machineNames()}
	for i, f := range found {
		if o.Progress != nil {
			o.Progress(fmt.Sprintf("%d of %d: %s", i+1, len(found), f))
		}
		if err := b.study(f); err != nil {
			return nil, err
		}
	}
	if len(b.rows) == 0 {
		return nil, &Error{"no study below " + strings.Join(o.Dirs, ", ") + " has a configuration with a result",
			"`llem report DIR` prints why"}
	}
	if err := b.index(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tmp, marker), []byte("Written by llem site. It is replaced as a whole.\n"),
		0o644); err != nil { //nolint:gosec // it is published
		return nil, err
	}
	if b.made.Bytes, err = size(tmp); err != nil {
		return nil, err
	}
	return b.made, replace(tmp, out)
}

// replaceable refuses a folder that is not a site, or holds the studies.
func replaceable(out string, dirs []string) error {
	for _, d := range dirs {
		abs, err := filepath.Abs(d)
		if err != nil {
			return fmt.Errorf("find the folder %s: %w", d, err)
		}
		if rel, err := filepath.Rel(out, abs); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return &Error{fmt.Sprintf("%s holds the studies of %s, and a site replaces its folder", out, d),
				"name another folder with -o"}
		}
	}
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return &Error{fmt.Sprintf("cannot write the site: %v", err), "name a folder with -o"}
	}
	if _, err := os.Lstat(filepath.Join(out, marker)); err != nil {
		return &Error{out + " is not a site of llem, and a site replaces its folder",
			"name a new folder with -o, or delete this one"}
	}
	return nil
}

// replace moves the new site to its place.
func replace(tmp, out string) error {
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // it is published
		return err
	}
	old := tmp + ".old"
	if err := os.Rename(out, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, out); err != nil {
		return errors.Join(err, os.Rename(old, out))
	}
	return os.RemoveAll(old)
}

// size is the size of all files of a folder.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// class is a table of the leaderboard.
type class struct {
	ID, Title, Meaning string
	Rows               []row
	// Node reports whether a row of any table has the energy of the whole machine: all tables have the same columns.
	Node bool
}

// classes sorts the rows into tables, each by its energy.
func classes(rows []row) (out []class) {
	node := false
	for _, r := range rows {
		i := slices.IndexFunc(out, func(c class) bool { return c.ID == r.Class })
		if i < 0 {
			i, out = len(out), append(out, class{ID: r.Class, Title: r.classTitle(), Meaning: r.meaning()})
		}
		out[i].Rows = append(out[i].Rows, r)
		node = node || r.Node.Sort() != ""
	}
	for _, c := range out {
		slices.SortStableFunc(c.Rows, func(a, b row) int {
			return cmp.Or(compareValues(a.Energy, b.Energy), strings.Compare(a.Study+a.Label, b.Study+b.Label))
		})
	}
	slices.SortStableFunc(out, func(a, b class) int { return cmp.Compare(order(a.ID), order(b.ID)) })
	for i := range out {
		out[i].Node = node
	}
	return out
}

// order puts measured energy first.
func order(id string) int {
	for i, kind := range []string{"measured", "modelled", "simulated"} {
		if strings.HasPrefix(id, kind) {
			return i
		}
	}
	return 3
}

// index writes the leaderboard.
func (b *builder) index() error {
	t, err := template.New("site.html").Parse(text)
	if err != nil {
		return fmt.Errorf("read the template of the site: %w", err)
	}
	hash := func(content string) string {
		sum := sha256.Sum256([]byte(content))
		return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	}
	data := struct {
		Title, Version, Day, Counts string
		Style                       template.CSS
		Script                      template.JS
		StyleHash, ScriptHash       string
		Raw                         bool
		Classes                     []class
	}{b.Title, b.Version, b.day(), b.made.Text(),
		template.CSS(style), template.JS(script), //nolint:gosec // of this package
		hash(style), hash(script), b.Raw, classes(b.rows)}
	return disk.WriteFile(filepath.Join(b.dir, "index.html"), func(w io.Writer) error { return t.Execute(w, data) })
}

// day is the day of the recomputation.
func (b *builder) day() string { return b.Now.UTC().Format(time.DateOnly) }
