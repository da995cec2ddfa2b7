package merge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// aside is the folder of a result that does not count: an earlier try of a run, or the run of a worker that another one
// had executed meanwhile. It is kept as evidence of what was measured.
type aside struct {
	// from is the folder, and to its name in the runs of the new folder.
	from, to string
	files    []string
	bytes    int64
}

// setAside finds the results that do not count, of all folders, and gives each a name in the new folder. Copies of one
// try are kept once, and so is a try that counts in the new folder.
func (j *joined) setAside() error {
	seen, names := map[string]bool{}, map[string]bool{}
	for _, r := range j.runs {
		seen[r.key.ID+" "+r.origin] = true
	}
	for _, s := range j.sources {
		runs := filepath.Join(s.dir, result.RunsDir)
		entries, err := os.ReadDir(runs)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the runs folder: %w", err)
		}
		for _, e := range entries {
			run, kind := asideOf(e.Name())
			if kind == "" || !e.IsDir() {
				continue
			}
			a := aside{from: filepath.Join(runs, e.Name())}
			sum, err := a.measure()
			if err != nil {
				return err
			}
			if key, _ := store.KeyOf(run); sum != "" {
				if seen[key.ID+" "+sum] {
					continue
				}
				seen[key.ID+" "+sum] = true
			}
			a.to = freeName(names, run, kind)
			j.asides = append(j.asides, a)
		}
	}
	if n := len(j.asides); n > 0 {
		j.notes = append(j.notes,
			fmt.Sprintf("%s not counted, an earlier try or a run executed twice, kept as %s/*.try* "+
				"and %s/*%s*", digits.Count(n, "result"), result.RunsDir, result.RunsDir, nodes.Twice))
	}
	return nil
}

// asideOf returns the run of a folder with a result that does not count, and what follows its name; empty for any other
// folder.
func asideOf(name string) (run, kind string) {
	for _, mark := range []string{".try", nodes.Twice} {
		if run, _, found := strings.Cut(name, mark); found && !strings.HasSuffix(name, store.Partial) {
			if _, ok := store.KeyOf(run); ok {
				return run, strings.TrimPrefix(name, run)
			}
		}
	}
	return "", ""
}

// freeName returns a name that no other folder has, and takes it: tries are numbered on.
func freeName(names map[string]bool, run, kind string) string {
	name := run + kind
	for i := 1; names[name]; i++ {
		if strings.HasPrefix(kind, ".try") {
			name = fmt.Sprintf("%s.try%d", run, i)
		} else {
			name = fmt.Sprintf("%s%s-%d", run, kind, i+1)
		}
	}
	names[name] = true
	return name
}

// measure lists the files of the folder, and returns the checksum of its manifest, empty if it has none.
func (a *aside) measure() (sum string, err error) {
	entries, err := os.ReadDir(a.from)
	if err != nil {
		return "", fmt.Errorf("read an earlier try: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", fmt.Errorf("read an earlier try: %w", err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		a.files, a.bytes = append(a.files, e.Name()), a.bytes+info.Size()
	}
	text, err := disk.ReadFile(filepath.Join(a.from, store.ManifestFile), disk.MaxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return disk.Sum(text), err
}

// copyAsides copies the results that do not count.
func (j *joined) copyAsides(ctx context.Context, path string) error {
	for _, a := range j.asides {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		to := filepath.Join(path, result.RunsDir, a.to)
		if err := os.Mkdir(to, 0o755); err != nil {
			return disk.Problem("make the run's folder", to, err)
		}
		for _, name := range a.files {
			if err := copyFile(filepath.Join(a.from, name), filepath.Join(to, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
