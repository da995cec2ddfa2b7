package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// BeginCanary creates the folder in which the canary of a worker, or of a process that executes a shard alone, collects
// its files.
func (d *Dir) BeginCanary(of string) (*Run, error) {
	name := filepath.Join(nodes.CanaryDir, of)
	path := filepath.Join(d.path, name+Partial)
	err := errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o755))
	if err != nil {
		return nil, disk.Problem("make the canary's folder", path, err)
	}
	return &Run{dir: d, worker: of, name: name, path: path, files: map[string]string{}}, nil
}

// CommitCanary writes a canary and renames its folder into place. It is in no journal, because it is not a run of the
// study. An earlier canary of the worker keeps another name.
func (r *Run) CommitCanary(rec *result.Record, s series.All) error {
	if _, err := r.write(rec, s); err != nil {
		return err
	}
	final := filepath.Join(r.dir.path, r.name)
	return errors.Join(putInPlace(r.path, final), disk.SyncDir(filepath.Dir(final)))
}

// sweepCanaries removes the unfinished canaries of workers that are gone.
func (d *Dir) sweepCanaries(live func(worker string) bool) error {
	left, err := filepath.Glob(filepath.Join(globbed(d.path), nodes.CanaryDir, "*"+Partial))
	for _, path := range left {
		if !live(strings.TrimSuffix(filepath.Base(path), Partial)) {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}
