package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/share"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// PullFlags are the flags of pull.
type PullFlags struct {
	// Output is the folder of the study; empty takes the name of the repository.
	Output string
	// JSON prints the outcome as a document.
	JSON bool
}

// Add adds the flags to a command.
func (f *PullFlags) Add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&f.Output, "output", "o", "", "the folder to write (default: the name of the repository)")
	flags.BoolVar(&f.JSON, "json", false, "print the outcome as one JSON document")
}

// Pulled is the outcome of a pull.
type Pulled struct {
	SchemaVersion int `json:"schema_version"` // 1
	// Repository is hf:USER/NAME, and Commit the state that was fetched.
	Repository string `json:"repository"`
	Commit     string `json:"commit"`
	// Dir is the folder of the study.
	Dir string `json:"dir"`
	// Files and Bytes count what it has.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Left are files of the repository that are not of a study.
	Left []string `json:"left,omitempty"`
}

// Pull fetches a study from a repository.
func (c Command) Pull(ctx context.Context, from string, f PullFlags) error {
	return mistakes(c.pull(ctx, from, f))
}

func (c Command) pull(ctx context.Context, from string, f PullFlags) error {
	ref, err := share.ParseRef(from)
	if err != nil {
		return err
	}
	client := c.client()
	_, short, _ := strings.Cut(ref.Name, "/")
	dir := filepath.Clean(cmp.Or(f.Output, short))
	parent := filepath.Dir(dir)
	if why := disk.NoFolder(parent); why != "" {
		return &Error{"cannot write " + dir + ": " + why, "create it (`mkdir -p " + shell.Quote(parent) +
			"`), or name another folder with --output"}
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return &Error{dir + " is a file, not a folder", "name another folder with --output"}
	}
	found, err := Look(ctx, client, ref)
	if err != nil {
		return err
	}
	out := Pulled{1, ref.String(), found.Commit, dir, len(found.Files), found.Bytes, found.Left}
	there, err := c.present(dir, found.Files)
	if err != nil {
		return err
	}
	if !there {
		if err := c.fetch(ctx, client, found, dir); err != nil {
			return err
		}
	}
	if f.JSON {
		return printJSON(c.Doc, out)
	}
	if n := len(found.Left); n > 0 {
		fmt.Fprintf(c.Err, "not fetched, as not of a study: %s (%s)\n", digits.Count(n, "file"), some(found.Left))
	}
	done := "fetched"
	if there {
		done = "are there already"
	}
	_, err = fmt.Fprintf(c.Out, "%s\n  %s (%s) of %s %s, commit %.12s\n  check it: llem verify %s\n", dir,
		digits.Count(out.Files, "file"), digits.Bytes(out.Bytes), ref, done, out.Commit, shell.Path(dir))
	return err
}

// Found is a study in a repository.
type Found struct {
	share.Fetch
	// Bytes is the size of the files.
	Bytes int64
	// Left are files that are not of a study.
	Left []string
}

// Look finds the study in a repository.
func Look(ctx context.Context, client *share.Client, ref share.Ref) (*Found, error) {
	if hub.OfflineSet() {
		return nil, &Error{"HF_HUB_OFFLINE is set, and " + ref.String() + " is on the hub", "unset HF_HUB_OFFLINE"}
	}
	info, err := client.Info(ctx, ref)
	if err != nil {
		return nil, err
	}
	if info == nil {
		return nil, client.Missing(ref)
	}
	all, err := client.Files(ctx, ref, info.Commit)
	if err != nil {
		return nil, err
	}
	f := &Found{Fetch: share.Fetch{Ref: ref, Commit: info.Commit}}
	study := false
	for _, r := range all {
		switch {
		case isOwn(r.Path):
			f.Files = append(f.Files, r)
			f.Bytes += r.Size
			study = study || r.Path == store.JournalFile || r.Path == result.SummaryFile ||
				strings.HasSuffix(r.Path, "/"+result.RecordFile)
		case r.Path != ".gitattributes":
			f.Left = append(f.Left, r.Path)
		}
	}
	if !study {
		return nil, &share.Error{What: fmt.Sprintf("%s holds no study of llem: none of its %s is one of a study", ref,
			digits.Count(len(all), "file")), Next: "check the name; `llem push` writes such repositories"}
	}
	return f, nil
}

// present reports whether the folder has the study already, and refuses one that has something else.
func (c Command) present(dir string, files []share.Remote) (bool, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && len(entries) == 0:
		return false, nil
	case err != nil:
		return false, &Error{fmt.Sprintf("cannot write %s: %v", dir, err), "name another folder with --output"}
	}
	same, err := share.Holds(dir, files)
	if err != nil || same {
		return same, err
	}
	return false, &Error{dir + " has other files already, which are not replaced",
		"name another folder with --output, or move this one away"}
}

// fetch downloads a study beside its place and moves it there when it is complete. What an interrupted pull has fetched
// is used.
func (c Command) fetch(ctx context.Context, client *share.Client, f *Found, dir string) error {
	part := filepath.Join(filepath.Dir(dir), fmt.Sprintf(".%s.pull-%.12s", filepath.Base(dir), f.Commit))
	if err := os.MkdirAll(part, 0o755); err != nil { //nolint:gosec // a folder of results
		return disk.Problem("make the folder", part, err)
	}
	unlock, err := lock(part)
	if err != nil {
		return err
	}
	defer unlock()
	meter := c.meter("fetched")
	f.Dir, f.Progress = part, meter.show
	err = client.Download(ctx, f.Fetch)
	meter.end()
	if err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) { // it may be there, empty
		return disk.Problem("write", dir, err)
	}
	if err := os.Rename(part, dir); err != nil {
		return disk.Problem("write", dir, err)
	}
	return nil
}

// lock keeps two pulls from writing to one folder.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, disk.Problem("open", dir, err)
	}
	if err := disk.LockFolder(f); err != nil {
		return nil, errors.Join(&Error{"another llem fetches into " + dir, "wait until it has finished"}, f.Close())
	}
	return func() { _ = disk.CloseFolder(f) }, nil // only read
}

// meter shows how much of a transfer is done.
type meter struct {
	Command
	done  string
	mu    sync.Mutex
	at    time.Time
	drawn bool
}

func (c Command) meter(done string) *meter { return &meter{Command: c, done: done} }

// show shows the progress, at most five times a second.
func (m *meter) show(have, total int64) {
	const every = 200 * time.Millisecond
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.Live || total <= 0 || time.Since(m.at) < every && have < total {
		return
	}
	m.at, m.drawn = time.Now(), true
	fmt.Fprintf(m.Err, "%s%s of %s %s", m.clear(), digits.Bytes(have), digits.Bytes(total), m.done)
}

// end removes the line.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drawn {
		fmt.Fprint(m.Err, m.clear())
	}
}
