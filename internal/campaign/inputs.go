package campaign

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// inputsFile records the files that a study reads, beside its study.yaml, because the name in the study does
// not change with the file.
const inputsFile = "inputs.json"

// input is a file or folder that a study reads.
type input struct {
	Kind string `json:"kind"` // dataset, trace or model
	// Name is the name in the study, Path its absolute path.
	Name string `json:"name"`
	Path string `json:"path"`
	// SHA256 is the hash of a data set or a trace. For a model, which may have many gigabytes, it is the hash of the
	// names, sizes and times of its files.
	SHA256 string `json:"sha256"`
}

// ChangedError is the error if a study cannot be resumed because its later runs would not be comparable with
// the earlier ones.
type ChangedError struct{ Msg, Next string }

// Error describes the change.
func (e *ChangedError) Error() string { return e.Msg }

// NextStep returns the next step for the user.
func (e *ChangedError) NextStep() string { return e.Next }

// inputsOf returns the distinct files of a study.
func inputsOf(s *study.Study) ([]input, error) {
	out := []input{}
	seen := map[[2]string]bool{}
	for _, e := range s.Experiments {
		for _, q := range [][2]string{{"dataset", e.Workload.Dataset}, {"trace", e.Workload.Load.Trace},
			{"model", e.Model}} {
			if seen[q] || q[1] == "" {
				continue
			}
			seen[q] = true
			in, err := read(q[0], q[1])
			if errors.Is(err, fs.ErrNotExist) {
				continue // a name that is not a local file
			}
			if err != nil {
				return nil, fmt.Errorf("read the %s %s: %w", q[0], q[1], err)
			}
			out = append(out, in)
		}
	}
	return out, nil
}

// read describes one file; the error is fs.ErrNotExist if the name is not a file.
func read(kind, name string) (input, error) {
	in := input{Kind: kind, Name: name}
	inside := name == workload.Builtin || name == workload.BuiltinFirst || name == workload.SyntheticSource
	if inside || strings.HasPrefix(name, "random:") {
		return in, fs.ErrNotExist
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return in, err
	}
	in.Path = path
	h := sha256.New()
	if _, err := os.Stat(path); err != nil && kind == "model" {
		return in, fs.ErrNotExist // possibly a model id
	}
	if kind != "model" {
		f, err := disk.Open(path, disk.Unbounded)
		if err != nil {
			return in, err
		}
		defer f.Close()
		if _, err := io.Copy(h, f); err != nil {
			return in, err
		}
	} else if err := listFiles(h, path); err != nil {
		return in, err
	}
	in.SHA256 = hex.EncodeToString(h.Sum(nil))
	return in, nil
}

// listFiles writes the names, sizes and times of the files of a model.
func listFiles(w io.Writer, path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		fmt.Fprintln(w, rel, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano))
		return err
	})
}

// sameInputs returns an error if a study's files have changed. Studies of earlier versions have no record of
// them.
func sameInputs(dir string) error {
	then, err := readInputs(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, was := range then {
		now, err := read(was.Kind, was.Name)
		switch {
		case err != nil && now.Path != was.Path:
			errs = append(errs,
				&ChangedError{fmt.Sprintf("the %s %s is not at %s: it was %s when the study began", was.Kind,
					was.Name, now.Path, was.Path),
					"start llem in the folder in which the study was started, so that relative paths match"})
		case err != nil:
			errs = append(errs,
				&ChangedError{fmt.Sprintf("the %s %s can no longer be read: %v", was.Kind, was.Path, err),
					"restore it, or start the study again without --resume"})
		case now.SHA256 != was.SHA256:
			errs = append(errs,
				&ChangedError{fmt.Sprintf("the %s %s has changed since the study began: its later runs would do "+
					"different work under the same ids", was.Kind, now.Path),
					"restore the original file (its hash is in " + filepath.Join(dir, inputsFile) +
						"), or start the study again without --resume"})
		}
	}
	if len(errs) == 1 {
		return errs[0] // so that its hint is found
	}
	return errors.Join(errs...)
}

// OtherInputs names the data sets and the models, as kind and name, that are files and differ between two folders of a
// study. A model differs if the times or sizes of its files do.
func OtherInputs(a, b string) (datasets, models []string, err error) {
	was, err := readInputs(a)
	if err != nil {
		return nil, nil, err
	}
	now, err := readInputs(b)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range was {
		i := slices.IndexFunc(now, func(y input) bool { return x.Kind == y.Kind && x.Name == y.Name })
		switch {
		case i < 0 || now[i].SHA256 == x.SHA256:
		case x.Kind != "model":
			datasets = append(datasets, x.Name)
		default:
			models = append(models, x.Name)
		}
	}
	return datasets, models, nil
}

// readInputs reads the record of a study's files. Studies of earlier versions have none.
func readInputs(dir string) (in []input, err error) {
	text, err := disk.ReadFile(filepath.Join(dir, inputsFile), disk.MaxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	if err != nil {
		return nil, &ChangedError{fmt.Sprintf("cannot read the inputs of the study, %s: %v",
			filepath.Join(dir, inputsFile), err),
			"restore it from a copy: without it, changes of the study's files cannot be detected"}
	}
	return in, nil
}

// sameMachine returns an error if a study is resumed on another GPU, driver or power limit: energy and speed
// would belong to two devices under one id. Another host with the same GPU is allowed, with a caveat in the
// summary.
func sameMachine(path string, now *host.Snapshot) error {
	text, err := disk.ReadFile(filepath.Join(path, store.EnvFile), disk.MaxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var then host.Snapshot
	if err == nil {
		err = json.Unmarshal(text, &then)
	}
	if err != nil {
		return &ChangedError{fmt.Sprintf("cannot read the description of the study's first machine, %s: %v",
			filepath.Join(path, store.EnvFile), err),
			"restore it from a copy: without it, a different GPU cannot be detected"}
	}
	if a, b := gpus(&then), gpus(now); a != b {
		return &ChangedError{fmt.Sprintf("the study began on %s, but this machine has %s: its runs would not "+
			"be comparable", a, b),
			"continue on the first machine, or start again without --resume"}
	}
	return nil
}

// gpus describes the GPUs of a machine with the facts that affect speed and energy.
func gpus(s *host.Snapshot) string {
	text := func(s *string) string {
		if s == nil {
			return "unknown"
		}
		return *s
	}
	var names []string
	for _, g := range s.GPUs {
		about := "driver " + text(g.DriverVersion)
		if g.PowerLimitW != nil {
			about += fmt.Sprintf(", limit %.0f W", *g.PowerLimitW)
		}
		names = append(names, text(g.Name)+" ("+about+")")
	}
	if len(names) == 0 {
		return "a machine without a GPU sensor"
	}
	return strings.Join(names, ", ")
}

// optionsFile records the options of a study's start that change its results and are not keys of the study. A
// study without such options, or of an earlier version, has no such file.
const optionsFile = "options.json"

// StartFiles lists the files of a study's folder that the start of the study writes, beside the study itself and the
// description of its machine.
func StartFiles() []string { return []string{inputsFile, optionsFile} }

// startOptions is the content of optionsFile.
type startOptions struct {
	// Estimate reports that the power of the CPU may be modelled.
	Estimate bool `json:"estimate"`
}

// Estimating reports whether the power of the CPU may be modelled in a study that is resumed: as at its start. Asking
// for it later is a [*ResumeError], because modelled energy would stand among measured energy, unless runs of an
// earlier version, which records no options, are modelled.
func Estimating(dir string, asked bool) (bool, error) {
	started, err := estimated(dir)
	if err != nil || started || !asked {
		return started, err
	}
	journal, err := store.ReadJournal(dir)
	if err == nil && slices.ContainsFunc(journal, func(e store.Entry) bool { return e.Provenance == result.Modelled }) {
		return true, nil
	}
	return false, &ResumeError{Msg: "the study in " + dir + " was started without --estimate: its other runs would " +
		"have modelled energy beside measured or missing energy",
		Next: "leave --estimate out, or start the study again with it and without --resume"}
}

// estimated reports whether the study in a folder was started with modelled power of the CPU.
func estimated(dir string) (bool, error) {
	path := filepath.Join(dir, optionsFile)
	text, err := disk.ReadFile(path, disk.MaxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var o startOptions
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return false, &ChangedError{fmt.Sprintf("cannot read the options of the study, %s: %v", path, err),
			"restore it from a copy: it tells whether the energy of the study is modelled"}
	}
	return o.Estimate, nil
}
