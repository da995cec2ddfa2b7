package web

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errPath: a path names no file of a study.
var errPath = errors.New("there is no such file")

// openFile opens a regular file, or a folder, below root by its path in an address, which is slash-separated. A path
// that leads out of root, by itself or through links, is refused.
func openFile(root *os.Root, name string) (*os.File, error) {
	if name == "" {
		name = "."
	}
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return nil, errPath
	}
	// Opening a pipe would wait for its writer.
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errPath
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		_ = f.Close()
		return nil, errPath
	}
	return f, nil
}

// files sends a file of a study, or lists a folder of it.
func (s *Server) files(w http.ResponseWriter, r *http.Request, st *study) {
	root, err := st.open()
	if err != nil {
		http.Error(w, errPath.Error(), http.StatusNotFound)
		return
	}
	defer func() { _ = root.Close() }()
	name := strings.TrimSuffix(r.PathValue("path"), "/")
	f, err := openFile(root, name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		http.Error(w, errPath.Error(), http.StatusNotFound)
	case info.IsDir() && !strings.HasSuffix(r.URL.Path, "/"):
		http.Redirect(w, r, (&url.URL{Path: r.URL.Path + "/"}).String(), http.StatusSeeOther)
	case info.IsDir():
		s.listing(w, f, st, name)
	default:
		// Never as a page: a file of a study may hold anything.
		w.Header().Set("Content-Type", contentType(name))
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment",
			map[string]string{"filename": path.Base(name)}))
		http.ServeContent(patient{w}, r, "", info.ModTime(), f)
	}
}

// contentType returns the content type of a file for download.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".yaml", ".log", ".jsonl", ".sha256", ".txt":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// entry is a line of a listing.
type entry struct {
	Name   string
	Size   int64 // in bytes
	Folder bool
}

// maxEntries is the number of lines of a listing.
const maxEntries = 10_000

// listing lists a folder of a study.
func (s *Server) listing(w http.ResponseWriter, f *os.File, st *study, name string) {
	list, err := f.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "the folder cannot be read", http.StatusInternalServerError)
		return
	}
	var out []entry
	for _, d := range list {
		info, err := d.Info()
		if err == nil && (info.Mode().IsRegular() || info.IsDir()) {
			out = append(out, entry{d.Name(), info.Size(), info.IsDir()})
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	s.page(w, "files", struct {
		*study
		Path    string
		Entries []entry
		Full    bool
	}{st, name, out, len(list) == maxEntries})
}

// zip sends the folder of a study as one archive, while it is read.
func (s *Server) zip(w http.ResponseWriter, r *http.Request, st *study) {
	root, err := st.open()
	if err != nil {
		http.Error(w, errPath.Error(), http.StatusNotFound)
		return
	}
	defer func() { _ = root.Close() }()
	base := filepath.Base(st.path)
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment",
		map[string]string{"filename": base + ".zip"}))
	if r.Method == http.MethodHead {
		return
	}
	z := zip.NewWriter(patient{w})
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err // links are not in the archive
		}
		return addFile(z, root, p, base+"/"+p)
	})
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(http.ErrAbortHandler) // a cut connection tells the client that the archive is incomplete
	}
}

// addFile adds a file to an archive.
func addFile(z *zip.Writer, root *os.Root, name, as string) error {
	f, err := openFile(root, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &zip.FileHeader{Name: as, Modified: info.ModTime(), Method: zip.Deflate}
	if path.Ext(name) == ".parquet" {
		h.Method = zip.Store // it is compressed
	}
	to, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return err
}

// patient moves the deadline with every part that the client takes, so that a large file may take its time but a
// client that stopped reading does not.
type patient struct{ http.ResponseWriter }

// Write writes a part.
func (p patient) Write(b []byte) (int, error) {
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTime))
	return p.ResponseWriter.Write(b)
}
