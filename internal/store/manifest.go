package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
)

// ManifestFile, in the folder of a run, has the SHA-256 sum of each of its other files, as sha256sum
// writes them: `sha256sum -c manifest.sha256` checks them there.
const ManifestFile = "manifest.sha256"

// mostManifest bounds what is read as a manifest: a run has ten files or so.
const mostManifest = 1 << 20

// sumOf is the SHA-256 sum of what a reader gives, in hexadecimal digits.
func sumOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func sumOfText(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func sumOfFile(path string) (string, error) {
	f, err := disk.Open(path, disk.Unbounded)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return sumOf(f)
}

// writeManifest writes the sums of the files of a run's folder, and returns the sum of what it wrote.
func writeManifest(folder string) (string, error) {
	entries, err := os.ReadDir(folder) // in the order of names
	if err != nil {
		return "", disk.Problem("list the files of the run", folder, err)
	}
	var text bytes.Buffer
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() == ManifestFile {
			continue
		}
		sum, err := sumOfFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return "", disk.Problem("read again", filepath.Join(folder, e.Name()), err)
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, e.Name())
	}
	err = disk.WriteFile(filepath.Join(folder, ManifestFile), func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	})
	return sumOfText(text.Bytes()), err
}

// manifest has the sums of the files of a run, and its own.
type manifest struct {
	sums map[string]string
	sum  string
}

// readManifest reads the manifest of a run's folder; fs.ErrNotExist of a run that an earlier version stored.
func readManifest(folder string) (*manifest, error) {
	path := filepath.Join(folder, ManifestFile)
	text, err := disk.ReadFile(path, mostManifest)
	if err != nil {
		return nil, err
	}
	m := &manifest{sums: map[string]string{}, sum: sumOfText(text)}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(sum) != 2*sha256.Size || name != filepath.Base(name) {
			return nil, fmt.Errorf("line %d is not a SHA-256 sum and the name of a file", n)
		}
		m.sums[name] = sum
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if m.sums[result.RecordFile] == "" {
		return nil, fmt.Errorf("it has no line for %s", result.RecordFile)
	}
	return m, nil
}

// restore is what to do about a file of a run that is not what was written.
const restore = "restore it from a copy of the folder; without one the run can only be made again: move its " +
	"folder away and resume the study"

// verify compares files of a run with its manifest, all of them if none is named. A run without a
// manifest has no problems, and unchecked is true.
func verify(folder, name, wantSum string, files ...string) (problems []Problem, unchecked bool) {
	m, err := readManifest(folder)
	path := name + "/" + ManifestFile
	switch {
	case errors.Is(err, fs.ErrNotExist) && wantSum == "":
		return nil, true
	case errors.Is(err, fs.ErrNotExist):
		return []Problem{{path, "is missing, and " + JournalFile + " names it", restore}}, false
	case err != nil:
		return []Problem{{path, "cannot be read: " + cause(err), restore}}, false
	case wantSum != "" && m.sum != wantSum:
		return []Problem{{path, otherSum(m.sum, JournalFile, wantSum), restore}}, false
	}
	if len(files) == 0 {
		files = slices.Sorted(maps.Keys(m.sums))
	}
	for _, file := range files {
		switch sum, err := sumOfFile(filepath.Join(folder, file)); {
		case errors.Is(err, fs.ErrNotExist):
			problems = append(problems, Problem{name + "/" + file, "is missing", restore})
		case err != nil:
			problems = append(problems, Problem{name + "/" + file, "cannot be read: " + cause(err), restore})
		case sum != m.sums[file]:
			problems = append(problems, Problem{name + "/" + file, otherSum(sum, ManifestFile, m.sums[file]), restore})
		}
	}
	return problems, false
}

func otherSum(sum, where, want string) string {
	return fmt.Sprintf("is not what was written: its SHA-256 sum is %.12s…, %s has %.12s…", sum, where, want)
}

// VerifyRun compares all files of a run's folder with its manifest. A run that an earlier version
// stored has none: unchecked is true.
func VerifyRun(folder string) (problems []Problem, unchecked bool) {
	return verify(folder, filepath.Base(folder), "")
}

// OtherManifests are the runs, by their folders below that of the study, whose manifest is not the one that
// the journal names.
func OtherManifests(dir string) (map[string]bool, error) {
	entries, err := ReadJournal(dir)
	if err != nil {
		return nil, err
	}
	named := map[string]string{}
	for _, e := range entries {
		named[e.Run] = e.Manifest // the last try counts
	}
	out := map[string]bool{}
	for run, sum := range named {
		if sum == "" {
			continue
		}
		m, err := readManifest(filepath.Join(dir, filepath.FromSlash(run)))
		out[run] = err != nil || m.sum != sum
	}
	return out, nil
}

// cause is an error without the path, which stands before it.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
