package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/studies"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// Names of files in a study's folder.
const (
	StudyFile   = studies.StudyFile
	EnvFile     = nodes.EnvFile
	JournalFile = "journal.jsonl"
	DoctorFile  = "doctor.json"
	engineLog   = "engine.log"
)

// Partial is the suffix of a run's folder while it is being written.
const Partial = ".partial"

// Dir is the folder of one study, open for writing by one process.
type Dir struct {
	path    string
	journal *os.File
	// worker is the name of the worker; empty for a process that works alone.
	worker string
	// made are the runs on disk, with their lines.
	made map[RunKey]Entry
	// stamp completes the lines of a worker's journal.
	stamp func(*Entry)
	// repairs lists what was repaired when the folder was opened.
	repairs note.List
}

// Create creates a new folder in parent, named after the study and the time.
func Create(parent, studyName string, now time.Time) (*Dir, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, disk.Problem("make the results folder", parent, err)
	}
	base := filepath.Join(parent, FolderName(studyName, now))
	path := base
	for i := 2; ; i++ {
		err := os.Mkdir(path, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, disk.Problem("make the study's folder", path, err)
		}
		path = fmt.Sprintf("%s-%d", base, i)
	}
	if err := os.Mkdir(filepath.Join(path, result.RunsDir), 0o755); err != nil {
		return nil, disk.Problem("make the runs folder", path, err)
	}
	journal, err := disk.OpenFile(filepath.Join(path, JournalFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644,
		disk.MaxList)
	if err != nil {
		return nil, disk.Problem("open the journal", path, err)
	}
	if err := disk.LockFolder(journal); err != nil {
		return nil, errors.Join(err, disk.CloseFolder(journal))
	}
	return &Dir{path: path, journal: journal, made: map[RunKey]Entry{}}, nil
}

// Path of the folder.
func (d *Dir) Path() string { return d.path }

// Close closes the journal.
func (d *Dir) Close() error { return disk.CloseFolder(d.journal) }

// FolderName returns the name of the folder of a study that begins at a time.
func FolderName(studyName string, now time.Time) string {
	return disk.SafeName(studyName, "study") + "-" + now.UTC().Format("20060102T150405Z")
}

// WriteJSON writes one JSON file of the folder atomically.
func (d *Dir) WriteJSON(name string, v any) error {
	return d.change(func() error {
		return disk.WriteFile(filepath.Join(d.path, name), func(w io.Writer) error { return disk.EncodeJSON(w, v) })
	})
}

// WriteSummary writes summary.json.
func (d *Dir) WriteSummary(s *result.StudyResult) error {
	return d.change(func() error { return disk.WriteFile(filepath.Join(d.path, result.SummaryFile), s.Encode) })
}

// WriteText writes one text file of the folder atomically.
func (d *Dir) WriteText(name, text string) error {
	return disk.WriteFile(filepath.Join(d.path, name), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// Run is the folder of one run while it is being written.
type Run struct {
	dir    *Dir
	worker string // of a canary; otherwise the folder's
	name   string
	path   string // the partial folder
	files  map[string]string
}

// Begin creates the folder in which a run collects its files.
func (d *Dir) Begin(id string, cycle int) (*Run, error) {
	name := filepath.FromSlash(result.RunPath(id, cycle))
	path := filepath.Join(d.path, name+Partial)
	if d.worker != "" {
		path = filepath.Join(d.path, name+"."+d.worker+Partial)
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, disk.Problem("clear an unfinished run", path, err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, disk.Problem("make the run's folder", path, err)
	}
	return &Run{dir: d, name: name, path: path, files: map[string]string{}}, nil
}

// LogPath returns the path for the engine's output.
func (r *Run) LogPath() string { return filepath.Join(r.path, engineLog) }

// Commit writes everything, renames the folder into place and appends the journal line. If it fails, the
// folder stays unfinished; Abort removes it. If another worker has executed the run, the error is [ErrTwice].
func (r *Run) Commit(rec *result.Record, s series.All) error {
	sum, err := r.write(rec, s)
	if err != nil {
		return err
	}
	final := filepath.Join(r.dir.path, r.name)
	if r.dir.worker != "" {
		err = r.publish(final, sum)
	} else {
		err = putInPlace(r.path, final)
	}
	if err == nil {
		err = disk.SyncDir(filepath.Dir(final))
	}
	if err != nil {
		return err
	}
	return r.dir.appendJournal(rec, sum)
}

// Discard writes everything, and keeps it under a name that marks it as not counted.
func (r *Run) Discard(rec *result.Record, s series.All) error {
	// Others may have removed it; that the study's folder is gone is another matter.
	if err := os.Mkdir(r.path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return disk.Problem("make the run's folder", r.path, err)
	}
	if _, err := r.write(rec, s); err != nil {
		return err
	}
	return r.discard(filepath.Join(r.dir.path, r.name))
}

// putInPlace renames a folder into place; an earlier try keeps another name.
func putInPlace(path, final string) error {
	if err := setAside(final); err != nil {
		return disk.Problem("rename an earlier try of the run", final, err)
	}
	if err := os.Rename(path, final); err != nil {
		return disk.Problem("finish the run's folder", final, err)
	}
	return nil
}

// write writes all files of a run, and returns the checksum of its manifest.
func (r *Run) write(rec *result.Record, s series.All) (sum string, err error) {
	rec.Worker = cmp.Or(r.worker, r.dir.worker)
	err = cmp.Or( // one error of a full disk is enough
		writeSeries(r, "power", s.Power),
		writeSeries(r, "telemetry", s.Telemetry),
		writeSeries(r, "counters", s.Counters),
		writeSeries(r, "requests", s.Requests),
		writeSeries(r, "steps", s.Steps),
	)
	if err != nil {
		return "", err
	}
	if found, err := secret.CleanLog(r.LogPath()); err != nil {
		return "", disk.Problem("take secrets out of", r.LogPath(), err)
	} else if found {
		r.files["engine_log"] = engineLog
	}
	rec.Files = r.files
	cleanRecord(rec)
	err = disk.WriteFile(filepath.Join(r.path, result.RecordFile),
		func(w io.Writer) error { return disk.EncodeJSON(w, rec) })
	if err != nil {
		return "", err
	}
	return WriteManifest(r.path)
}

// cleanRecord removes secrets and terminal commands from texts of engines, sensors and the system. The user's
// configuration stays as it is.
func cleanRecord(rec *result.Record) {
	secret.Clean(rec.Failure)
	secret.Clean(&rec.Warnings)
	secret.Clean(&rec.Energy.Reason)
	secret.CleanPlain(&rec.Backend)
}

// Abort removes an unfinished folder.
func (r *Run) Abort() error { return os.RemoveAll(r.path) }

func writeSeries[T any](r *Run, name string, rows []T) error {
	file := name + ".parquet"
	err := disk.WriteFile(filepath.Join(r.path, file), func(w io.Writer) error { return series.Write(w, rows) })
	if err == nil {
		r.files[name] = file
	}
	return err
}
