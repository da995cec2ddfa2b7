package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/study"
)

// seal is the first line of a frozen study: a comment to YAML.
const seal = "# %d experiments; SHA-256 of the lines below: %s\n"

// sealed matches a seal.
var sealed = regexp.MustCompile(`^# (\d+) experiments; SHA-256 of the lines below: ([0-9a-f]{64})\n`)

// WriteStudy writes the study to the folder, with the number of its experiments and a checksum.
func (d *Dir) WriteStudy(s *study.Study) error {
	text, err := s.YAML()
	if err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(d.path, StudyFile), func(w io.Writer) error {
		_, err := fmt.Fprintf(w, seal+"%s", len(s.Experiments), disk.Sum([]byte(text)), text)
		return err
	})
}

// ResealStudy returns a frozen study whose text changes, with its checksum renewed. A study without one gets none.
func ResealStudy(old []byte, change func(string) string) []byte {
	m := sealed.FindSubmatchIndex(old)
	if m == nil {
		return []byte(change(string(old)))
	}
	text := change(string(old[m[1]:]))
	return fmt.Appendf(nil, "%s%s\n%s", old[:m[4]], disk.Sum([]byte(text)), text)
}

// ReadFrozen reads the study of a folder as it was started. A file that was truncated or changed since is a
// [*DamageError]. A file of an earlier version has no checksum: checked is false.
func ReadFrozen(dir string) (s *study.Study, checked bool, err error) {
	text, checked, err := readFrozen(dir)
	if err != nil {
		return nil, checked, err
	}
	s, err = study.ParseFrozen(text)
	if err == nil && checked {
		if n, _ := strconv.Atoi(string(sealed.FindSubmatch(text)[1])); n != len(s.Experiments) {
			return nil, checked, damagedStudy(dir, fmt.Sprintf("has %d experiments but was written with %d",
				len(s.Experiments), n))
		}
	}
	if err != nil {
		return nil, checked, fmt.Errorf("read the study %s: %w", filepath.Join(dir, StudyFile), err)
	}
	return s, checked, nil
}

// readFrozen reads the text of a frozen study, and verifies its checksum.
func readFrozen(dir string) (text []byte, checked bool, err error) {
	if text, err = disk.ReadFile(filepath.Join(dir, StudyFile), disk.MaxList); err != nil {
		return nil, false, fmt.Errorf("read the study: %w", err)
	}
	m := sealed.FindSubmatch(text)
	switch {
	case m != nil && disk.Sum(text[len(m[0]):]) != string(m[2]):
		return nil, true, damagedStudy(dir,
			"has changed since it was written: the checksum in its first line does not match")
	case m == nil && bytes.HasPrefix(text, []byte("#")):
		return nil, true, damagedStudy(dir, "has changed since it was written: its first line has no checksum")
	}
	return text, m != nil, nil
}

// damagedStudy returns the error for a damaged frozen study.
func damagedStudy(dir, what string) error {
	return damaged(dir, []Problem{{StudyFile, what,
		"restore it from a copy, or start the study again without --resume; limits of a study that is resumed " +
			"are set on " +
			"the command line, not in this file"}})
}

// plan reads the study of a folder or, if another version froze it or it is damaged, as much of it as gives
// the number of planned runs.
func plan(dir string) (s *study.Study, problems []Problem, err error) {
	s, _, err = ReadFrozen(dir)
	damage, bad := errors.AsType[*DamageError](err)
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return s, nil, err
	case bad:
		problems = damage.Problems
	}
	text, readErr := disk.ReadFile(filepath.Join(dir, StudyFile), disk.MaxList)
	if readErr != nil {
		return nil, nil, err
	}
	s, planErr := parsePlan(text)
	switch {
	case planErr == nil:
		return s, problems, nil
	case bad: // the records of the runs have their configurations
		return &study.Study{Execution: study.Execution{Cycles: 1}}, problems, nil
	}
	return nil, nil, err
}
