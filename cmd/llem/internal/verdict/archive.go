package verdict

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// Limits of an archive: a study of 100,000 runs has a million files.
const (
	mostFiles = 4_000_000
	mostBytes = 64 << 30
)

// IsArchive reports whether a path names an archive that [Unpack] reads.
func IsArchive(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasSuffix(lower, ".zip") || strings.HasSuffix(lower, ".tar.gz") || strings.HasSuffix(lower, ".tgz")
}

// An ArchiveError is an archive, or another file, that holds no study that can be judged.
type ArchiveError struct{ File, What, Next string }

// Error names the archive.
func (e *ArchiveError) Error() string {
	if e.File == "" {
		return e.What
	}
	return e.File + ": " + e.What
}

// Judge judges a study in a folder or an archive. What cannot be judged is an [*ArchiveError] or a
// [*recheck.NoRunError].
func Judge(path string) (v *Verdict, err error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return Of(path)
	}
	if missing := disk.NoFolder(path); err != nil && missing != "" {
		return nil, &ArchiveError{"", missing, "give the folder that `llem run` printed, or an archive of it"}
	}
	if !IsArchive(path) {
		return nil, &ArchiveError{path, "it is not a folder, .zip or .tar.gz",
			"give the folder that `llem run` printed"}
	}
	temporary, err := os.MkdirTemp("", "llem-verify-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	dir, err := Unpack(path, temporary)
	if err != nil {
		return nil, err
	}
	return Of(dir)
}

// Unpack unpacks an archive below a folder and returns the folder of the study in it. Nothing is written outside of the
// folder, and links and devices are refused.
func Unpack(file, to string) (study string, err error) {
	root, err := os.OpenRoot(to)
	if err != nil {
		return "", err
	}
	u := &unpacker{root: root, file: file, left: mostBytes}
	defer func() { err = errors.Join(err, root.Close()) }()
	if strings.HasSuffix(strings.ToLower(file), ".zip") {
		err = u.zip()
	} else {
		err = u.tar()
	}
	if err != nil {
		return "", u.damaged(err)
	}
	return u.study(to)
}

// unpacker writes the files of an archive.
type unpacker struct {
	root  *os.Root
	file  string
	files int
	left  int64
}

// damaged is an error of reading the archive, as users are told it.
func (u *unpacker) damaged(err error) error {
	if odd, ok := errors.AsType[*disk.OddFileError](err); ok {
		return &ArchiveError{"", odd.Error(), odd.Next}
	}
	if errors.As(err, new(*ArchiveError)) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &ArchiveError{u.file, "it cannot be unpacked: " + err.Error(), "fetch it again: it may be cut off"}
}

func (u *unpacker) zip() (err error) {
	packed, err := disk.Open(u.file, mostBytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	info, err := packed.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(packed, info.Size())
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if err := u.entry(f.Name, f.Mode(), f.Open); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) tar() error {
	f, err := disk.Open(u.file, mostBytes)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		mode := h.FileInfo().Mode()
		if h.Typeflag == tar.TypeLink {
			mode |= fs.ModeSymlink
		}
		if err := u.entry(h.Name, mode, func() (io.ReadCloser, error) { return io.NopCloser(t), nil }); err != nil {
			return err
		}
	}
}

// entry writes a file or makes a folder.
func (u *unpacker) entry(name string, mode fs.FileMode, open func() (io.ReadCloser, error)) error {
	name = strings.TrimPrefix(name, "./")
	switch {
	case name == "" || name == ".":
		return nil
	case !filepath.IsLocal(name) || strings.Contains(name, `\`):
		return u.refuse(fmt.Sprintf("its entry %q would be outside of the folder", name))
	case mode.IsDir():
		return u.root.MkdirAll(path.Clean(name), 0o755)
	case !mode.IsRegular():
		return u.refuse(fmt.Sprintf("its entry %q is a link or a device", name))
	}
	if u.files++; u.files > mostFiles {
		return u.refuse(fmt.Sprintf("it has more than %d files", mostFiles))
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := u.root.Create(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, u.left+1))
	if u.left -= n; u.left < 0 {
		err = u.refuse("it unpacks to more than " + digits.Bytes(int64(mostBytes)).String())
	}
	return errors.Join(err, out.Close())
}

func (u *unpacker) refuse(what string) error {
	return &ArchiveError{u.file, what, "do not trust it; ask for an archive of the study's folder alone"}
}

// study finds the folder of the study: the one that has the runs.
func (u *unpacker) study(to string) (string, error) {
	var found []string
	err := filepath.WalkDir(to, func(at string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		for _, name := range []string{result.SummaryFile, store.JournalFile} {
			if _, err := os.Stat(filepath.Join(at, name)); err == nil {
				found = append(found, at)
				return fs.SkipDir
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", &ArchiveError{u.file, "it holds no study", "an archive has the folder that `llem run` printed"}
	case len(found) > 1:
		return "", &ArchiveError{u.file, fmt.Sprintf("it holds %d studies", len(found)),
			"unpack it and give the folder of one of them"}
	}
	return found[0], nil
}
