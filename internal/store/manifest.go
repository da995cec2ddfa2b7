package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/result"
)

// ManifestFile in the folder of a run has the SHA-256 checksums of its other files in the format of
// sha256sum: `sha256sum -c manifest.sha256` verifies them. The manifest in the folder of the study covers its
// JSON files; study.yaml and the journal contain their own checksums.
const ManifestFile = "manifest.sha256"

// mostManifest bounds the size of a manifest: a run has about ten files.
const mostManifest = 1 << 20

// WriteManifest writes the checksums of the files in a run's folder, and returns the checksum of the
// manifest.
func WriteManifest(folder string) (string, error) {
	return writeSums(folder, func(name string) bool { return name != ManifestFile })
}

// writeSums writes the checksums of some files of a folder.
func writeSums(folder string, of func(name string) bool) (string, error) {
	entries, err := os.ReadDir(folder) // in the order of names
	if err != nil {
		return "", disk.Problem("list the files of", folder, err)
	}
	var text bytes.Buffer
	for _, e := range entries {
		if !e.Type().IsRegular() || !of(e.Name()) {
			continue
		}
		sum, err := disk.SumFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return "", disk.Problem("read again", filepath.Join(folder, e.Name()), err)
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, e.Name())
	}
	err = disk.WriteFile(filepath.Join(folder, ManifestFile), func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	})
	return disk.Sum(text.Bytes()), err
}

// manifest has the checksums of the files of a run, and its own.
type manifest struct {
	sums map[string]string
	sum  string
}

// readManifest reads the manifest of a run's folder; fs.ErrNotExist for a run of an earlier version.
func readManifest(folder string) (*manifest, error) {
	m, err := readSums(folder)
	if err == nil && m.sums[result.RecordFile] == "" {
		return nil, fmt.Errorf("it has no line for %s", result.RecordFile)
	}
	return m, err
}

// sumLine is a line of a manifest.
var sumLine = regexp.MustCompile(`^([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*)$`)

func readSums(folder string) (*manifest, error) {
	path := filepath.Join(folder, ManifestFile)
	text, err := disk.ReadFile(path, mostManifest)
	if err != nil {
		return nil, err
	}
	m := &manifest{sums: map[string]string{}, sum: disk.Sum(text)}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := sumLine.FindStringSubmatch(lines.Text())
		if line == nil {
			return nil, fmt.Errorf("line %d is not a SHA-256 sum and the name of a file", n)
		}
		m.sums[line[2]] = line[1]
	}
	return m, lines.Err()
}

// summed reports whether the manifest of a study covers a file.
func summed(name string) bool { return strings.HasSuffix(name, ".json") }

// change changes files that the manifest of a study covers. The manifest is removed meanwhile, so that a
// crash leaves no wrong checksum.
func (d *Dir) change(write func() error) error {
	file := filepath.Join(d.path, ManifestFile)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk.Problem("replace", file, err)
	}
	if err := write(); err != nil {
		return err
	}
	_, err := writeSums(d.path, summed)
	return err
}

// VerifyStudy verifies the checksums of the files in a study's folder, without its journal and its runs, and
// returns damage as a [*DamageError]. A study of an earlier version has no checksums, and a killed study may
// have none. If summary is false, the summary is ignored, because resuming a study rewrites it anyway.
func VerifyStudy(dir string, summary bool) error {
	problems := verifySums(dir, summary)
	_, _, err := readFrozen(dir)
	if damage, bad := errors.AsType[*DamageError](err); bad {
		problems = append(problems, damage.Problems...)
	}
	return damaged(dir, problems)
}

func verifySums(dir string, summary bool) (problems []Problem) {
	m, err := readSums(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && len(m.sums) == 0:
		err = errors.New("it names no file")
	}
	if err != nil {
		return []Problem{{ManifestFile, "cannot be read: " + cause(err), restoreStudy}}
	}
	for _, name := range slices.Sorted(maps.Keys(m.sums)) {
		next := restoreStudy
		if name == result.SummaryFile && !summary {
			continue
		}
		if name == result.SummaryFile {
			next = "delete " + filepath.Join(dir, name) + ": the report is then built from the runs"
		}
		switch sum, err := disk.SumFile(filepath.Join(dir, name)); {
		case errors.Is(err, fs.ErrNotExist) && name == result.SummaryFile:
		case errors.Is(err, fs.ErrNotExist):
			problems = append(problems, Problem{name, "is missing, but listed in " + ManifestFile + "", next})
		case err != nil:
			problems = append(problems, Problem{name, "cannot be read: " + cause(err), next})
		case sum != m.sums[name]:
			problems = append(problems, Problem{name, otherSum(sum, ManifestFile, m.sums[name]), next})
		}
	}
	return problems
}

// restore is the next step for a damaged file of a run.
const restore = "restore it from a copy of the folder; without a copy the run can only be repeated: move its " +
	"folder away and resume the study"

// restoreStudy is the next step for a damaged file beside the runs.
const restoreStudy = "restore it from a copy of the folder"

// verify compares files of a run with its manifest, all of them if none is named. A run without a manifest
// has no problems, and unchecked is true.
func verify(folder, name, wantSum string, files ...string) (problems []Problem, unchecked bool) {
	m, err := readManifest(folder)
	path := name + "/" + ManifestFile
	switch {
	case errors.Is(err, fs.ErrNotExist) && wantSum == "":
		return nil, true
	case errors.Is(err, fs.ErrNotExist):
		return []Problem{{path, "is missing, but listed in " + JournalFile + "", restore}}, false
	case err != nil:
		return []Problem{{path, "cannot be read: " + cause(err), restore}}, false
	case wantSum != "" && m.sum != wantSum:
		return []Problem{{path, otherSum(m.sum, JournalFile, wantSum), restore}}, false
	}
	if len(files) == 0 {
		files = slices.Sorted(maps.Keys(m.sums))
	}
	for _, file := range files {
		switch sum, err := disk.SumFile(filepath.Join(folder, file)); {
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
	return fmt.Sprintf("has changed since it was written: its SHA-256 checksum is %.12s…, %s has %.12s…", sum, where,
		want)
}

// VerifyRun compares all files of a run's folder with its manifest, and the manifest with its checksum from
// the journal (see [Manifests]); "" if that is unknown. A run of an earlier version has no manifest:
// unchecked is true.
func VerifyRun(folder, manifest string) (problems []Problem, unchecked bool) {
	return verify(folder, filepath.Base(folder), manifest)
}

// Manifests returns the checksums of the manifests from the journal, by the names of the runs' folders.
func Manifests(dir string) (map[string]string, error) {
	entries, err := ReadJournal(dir)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, e := range entries {
		out[path.Base(e.Run)] = e.Manifest // the last try counts
	}
	return out, nil
}

// cause returns an error without its path, which the message already has.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
