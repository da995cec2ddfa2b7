package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Limits of the search for studies, and how long what it found is used.
const (
	maxDepth   = 6
	maxStudies = 10_000
	rescan     = 2 * time.Second
)

// folder is a folder below which studies are found.
type folder struct {
	path string // absolute
	root *os.Root
}

// study is the folder of a study.
type study struct {
	// Key names the study in addresses.
	Key string
	// Folder is the path as the user gave it, with the path below it.
	Folder string

	in   *folder
	rel  string // slash-separated, below in
	path string // absolute
}

// state identifies a version of a study's files.
type state struct {
	summary, journal fileState
}

type fileState struct {
	size     int64
	modified time.Time
}

// head is what the index shows of a study.
type head struct {
	at  state
	res *result.StudyResult // without records; nil if nothing can be read
	err error               // with res: damage
}

// library finds studies, and keeps what the index shows of each.
type library struct {
	folders []*folder
	given   []string

	mu      sync.Mutex
	scanned time.Time
	studies []*study
	heads   map[string]head // by key
}

// newLibrary opens the folders.
func newLibrary(dirs []string) (*library, error) {
	l := &library{given: dirs, heads: map[string]head{}}
	for _, d := range dirs {
		abs, err := filepath.Abs(d)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("find the folder %s: %w", d, err)
		}
		root, err := os.OpenRoot(abs)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("open the folder of studies: %w", err)
		}
		l.folders = append(l.folders, &folder{abs, root})
	}
	return l, nil
}

func (l *library) close() {
	for _, f := range l.folders {
		_ = f.root.Close()
	}
}

// list returns all studies, the newest first.
func (l *library) list() []*study {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.scanned) < rescan {
		return l.studies
	}
	l.studies = nil
	seen := map[string]bool{}
	for i, f := range l.folders {
		for _, rel := range find(f.root.FS()) {
			abs := filepath.Join(f.path, filepath.FromSlash(rel))
			if seen[abs] || len(l.studies) == maxStudies {
				continue
			}
			seen[abs] = true
			sum := sha256.Sum256([]byte(abs))
			l.studies = append(l.studies, &study{Key: hex.EncodeToString(sum[:8]),
				Folder: filepath.Join(l.given[i], filepath.FromSlash(rel)), in: f, rel: rel, path: abs})
		}
	}
	l.scanned = time.Now()
	return l.studies
}

// find returns the paths of the studies below a folder. Links are not followed, nor hidden folders entered.
func find(fsys fs.FS) (found []string) {
	_ = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir // what cannot be read is not shown
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || strings.Count(p, "/") >= maxDepth):
			return fs.SkipDir
		case d.Type().IsRegular() && (d.Name() == store.JournalFile || d.Name() == result.SummaryFile):
			if dir := path.Dir(p); len(found) == 0 || found[len(found)-1] != dir {
				found = append(found, dir)
			}
			return fs.SkipDir // the rest of this study
		}
		return nil
	})
	return found
}

// study returns the study of a key, or nil.
func (l *library) study(key string) *study {
	for _, st := range l.list() {
		if st.Key == key {
			return st
		}
	}
	return nil
}

// open opens the study's folder, unless a link on the way leads out of the folder that is served.
func (st *study) open() (*os.Root, error) {
	root, err := st.in.root.OpenRoot(filepath.FromSlash(st.rel))
	if err != nil {
		return nil, fmt.Errorf("open the study: %w", err)
	}
	return root, nil
}

// errLink: a file of a study is a link.
var errLink = errors.New("is a link: its content is not shown")

// contained checks that reading the study by its path reads nothing outside of it: none of its files is a link.
func (st *study) contained() error {
	root, err := st.open()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s %w", p, errLink)
		}
		return err
	})
}

// state returns the sizes and times of the files that change when the study does. The journals of several workers are
// taken as one.
func (st *study) state() state {
	of := func(name string) fileState {
		info, err := st.in.root.Stat(filepath.FromSlash(path.Join(st.rel, name)))
		if err != nil {
			return fileState{}
		}
		return fileState{info.Size(), info.ModTime()}
	}
	out := state{summary: of(result.SummaryFile)}
	folder, err := fs.Sub(st.in.root.FS(), st.rel)
	if err != nil {
		return out
	}
	for _, name := range journals(folder) {
		one := of(name)
		out.journal.size += one.size
		if one.modified.After(out.journal.modified) {
			out.journal.modified = one.modified
		}
	}
	return out
}

// changed returns when the study last changed.
func (s state) changed() time.Time {
	if s.journal.modified.After(s.summary.modified) {
		return s.journal.modified
	}
	return s.summary.modified
}

// read reads the result of a study, also of an unfinished one. A damaged study is read as far as possible, and the
// error names the damage.
func (st *study) read() (*result.StudyResult, error) {
	if err := st.contained(); err != nil {
		return nil, err
	}
	opened, err := store.Open(st.path)
	if opened == nil {
		return nil, err
	}
	return opened.StudyResult, err
}

// head returns what the index shows of a study.
func (l *library) head(st *study) (*result.StudyResult, error) {
	at := st.state()
	l.mu.Lock()
	h, known := l.heads[st.Key]
	l.mu.Unlock()
	if !known || h.at != at {
		h = head{at: at}
		h.res, h.err = st.read()
		if h.res != nil {
			brief := *h.res
			brief.Runs = nil
			h.res = &brief
		}
		l.mu.Lock()
		l.heads[st.Key] = h
		l.mu.Unlock()
	}
	return h.res, h.err
}

// newest sorts studies by the time of their last change.
func newest(all []*study) []*study {
	out := slices.Clone(all)
	at := map[string]time.Time{}
	for _, st := range out {
		at[st.Key] = st.state().changed()
	}
	slices.SortStableFunc(out, func(a, b *study) int {
		return cmp.Or(at[b.Key].Compare(at[a.Key]), strings.Compare(a.Folder, b.Folder))
	})
	return out
}

// with finds the study of a request.
func (s *Server) with(next func(http.ResponseWriter, *http.Request, *study)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		st := s.library.study(r.PathValue("key"))
		if st == nil {
			http.Error(w, "there is no such study", http.StatusNotFound)
			return
		}
		next(w, r, st)
	}
}
