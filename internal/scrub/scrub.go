// Package scrub makes a copy of the folder of a study that can be shown to others: secrets, the names of machines and
// the folders of users are replaced in all files, in Parquet series too, the same text by the same word everywhere. The
// checksums of the copy are its own, so that it can be verified like the original; scrubbed.json in it tells what was
// replaced, and has the checksums of the original files.
package scrub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
)

// File is the file of the copy that tells what was replaced.
const File = "scrubbed.json"

// Options are what is copied.
type Options struct {
	// Dir is the folder of the study, Files the files of it, with slashes, and To an empty folder for the copy.
	Dir, To string
	Files   []string
	// Environ, Hosts and Home describe this machine: the variables of the environment, its names, the folder of the
	// user.
	Environ []string
	Hosts   []string
	Home    string
	// Also are other texts to replace.
	Also []string
}

// Finding is something that was replaced.
type Finding struct {
	// What it was, without the text itself, and With what it was replaced.
	What string `json:"what"`
	With string `json:"with"`
	// Files and Times count where, and how often.
	Files int `json:"files"`
	Times int `json:"times"`
}

// Copy is the copy of a study.
type Copy struct {
	// SchemaVersion is 1.
	SchemaVersion int `json:"schema_version"`
	// Replaced is what was replaced, and the files.
	Replaced []Finding `json:"replaced"`
	// IDs has the ids that configurations got because a text in them was replaced, by the id that they had when they
	// were measured: an id is a hash of the settings.
	IDs map[string]string `json:"ids,omitempty"`
	// Original has the SHA-256 checksums of the changed files as they were measured.
	Original map[string]string `json:"original_sha256"`

	// Files are the files of the copy.
	Files []string `json:"-"`
	// Again reports whether the folder was a scrubbed copy already.
	Again bool `json:"-"`
}

// copier makes a copy.
type copier struct {
	Options
	rules []rule
	copy  *Copy
	// sums are the checksums of changed files.
	sums map[string]string
	// taken are the names of files of the copy.
	taken map[string]bool
}

// Make makes the copy. Files without anything to replace are links to the original.
func Make(o Options) (*Copy, error) {
	c := &copier{Options: o, copy: &Copy{SchemaVersion: 1, Replaced: []Finding{}, Original: map[string]string{}},
		sums: map[string]string{}, taken: map[string]bool{}}
	if err := c.earlier(); err != nil {
		return nil, err
	}
	var err error
	if c.rules, err = rulesOf(o); err != nil {
		return nil, err
	}
	if err := c.rename(); err != nil {
		return nil, err
	}
	files := slices.Clone(o.Files)
	slices.SortStableFunc(files, func(a, b string) int { return rank(a) - rank(b) })
	for _, name := range files {
		if name == File || name == manifestFile {
			continue
		}
		if err := c.file(name); err != nil {
			return nil, err
		}
	}
	for _, r := range c.rules {
		if r.times > 0 {
			c.found(Finding{r.what, r.with, r.files, r.times})
		}
	}
	return c.copy, c.finish()
}

// found adds a finding to equal ones of an earlier copy.
func (c *copier) found(f Finding) {
	for i := range c.copy.Replaced {
		if old := &c.copy.Replaced[i]; old.What == f.What && old.With == f.With {
			old.Files, old.Times = old.Files+f.Files, old.Times+f.Times
			return
		}
	}
	c.copy.Replaced = append(c.copy.Replaced, f)
}

// earlier reads what was replaced already.
func (c *copier) earlier() error {
	if !slices.Contains(c.Files, File) {
		return nil
	}
	text, err := disk.ReadFile(filepath.Join(c.Dir, File), disk.MaxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, c.copy)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(c.Dir, File), err)
	}
	c.copy.SchemaVersion, c.copy.Again = 1, true
	if c.copy.Original == nil {
		c.copy.Original = map[string]string{}
	}
	return nil
}

// rank orders files by which checksums they hold: of none, of files, of manifests of runs.
func rank(name string) int {
	switch {
	case path.Base(name) == manifestFile:
		return 1
	case strings.HasPrefix(name, "journal"):
		return 2
	}
	return 0
}

// file copies one file.
func (c *copier) file(name string) error {
	from := filepath.Join(c.Dir, filepath.FromSlash(name))
	var clean, old []byte
	var err error
	for i := range c.rules {
		c.rules[i].here = 0
	}
	to := c.replace(name)
	if c.taken[to] {
		return &EqualError{"the name of the file " + name}
	}
	if strings.HasSuffix(name, ".parquet") {
		clean, err = c.series(from)
	} else if old, err = disk.ReadFile(from, disk.MaxList); err == nil {
		clean = c.text(to, old)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	c.copy.Files, c.taken[to] = append(c.copy.Files, to), true
	for i := range c.rules {
		if r := &c.rules[i]; r.here > 0 {
			r.files++
			r.times += r.here
		}
	}
	if clean == nil || bytes.Equal(clean, old) {
		return c.link(from, to)
	}
	sum, err := disk.SumFile(from)
	if err != nil {
		return err
	}
	if c.copy.Original[to] == "" {
		c.copy.Original[to] = sum
	}
	c.sums[to] = disk.Sum(clean)
	return c.write(to, clean)
}

// link makes a file of the copy that is the original one.
func (c *copier) link(from, to string) error {
	abs, err := filepath.Abs(from)
	if err != nil {
		return fmt.Errorf("find %s: %w", from, err)
	}
	place, err := c.place(to)
	if err != nil {
		return err
	}
	return os.Symlink(abs, place)
}

// place returns where a file of the copy is, in a folder that exists.
func (c *copier) place(name string) (string, error) {
	at := filepath.Join(c.To, filepath.FromSlash(name))
	return at, os.MkdirAll(filepath.Dir(at), 0o700)
}

func (c *copier) write(name string, text []byte) error {
	at, err := c.place(name)
	if err != nil {
		return err
	}
	return disk.WriteFile(at, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// finish writes what was replaced and the manifest of the study. A study that had no manifest has none.
func (c *copier) finish() error {
	sealed := slices.Contains(c.Files, manifestFile)
	from := filepath.Join(c.Dir, manifestFile)
	if len(c.sums) == 0 {
		return c.unchanged(sealed, from)
	}
	var old []byte
	var err error
	if sealed {
		if old, err = disk.ReadFile(from, disk.MaxSmall); err != nil {
			return fmt.Errorf("read %s: %w", from, err)
		}
		if c.copy.Original[manifestFile] == "" {
			c.copy.Original[manifestFile] = disk.Sum(old)
		}
	}
	text, err := json.MarshalIndent(c.copy, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", File, err)
	}
	text = append(text, '\n')
	c.sums[File] = disk.Sum(text)
	c.copy.Files = append(c.copy.Files, File)
	if err := c.write(File, text); err != nil || !sealed {
		return err
	}
	sums := c.manifest(manifestFile, old)
	if !bytes.Contains(sums, []byte("  "+File+"\n")) {
		sums = fmt.Appendf(sums, "%s  %s\n", c.sums[File], File)
	}
	c.copy.Files = append(c.copy.Files, manifestFile)
	return c.write(manifestFile, sums)
}

// unchanged completes a copy in which nothing was replaced.
func (c *copier) unchanged(sealed bool, manifest string) error {
	if c.copy.Again {
		c.copy.Files = append(c.copy.Files, File)
		if err := c.link(filepath.Join(c.Dir, File), File); err != nil {
			return err
		}
	}
	if !sealed {
		return nil
	}
	c.copy.Files = append(c.copy.Files, manifestFile)
	return c.link(manifest, manifestFile)
}

// summary is the file that names the folder of the study.
const summary = result.SummaryFile
