package claim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/disk"
)

// folder is the folder of the claims. Names are slash-separated. Errors wrap fs.ErrExist and fs.ErrNotExist.
type folder interface {
	// mkdir creates a folder; fs.ErrExist if it is there.
	mkdir(name string) error
	// create creates a file with a text; fs.ErrExist if it is there.
	create(name string, text []byte) error
	// link gives a file a second name, exclusively, or creates it with the text where there are no hard links.
	link(from, name string, text []byte) error
	// touch sets a file's time to the server's and returns it.
	touch(name string) (time.Time, error)
	// read returns the text and the time of a file, as the server has them now or a minute ago.
	read(name string) (text []byte, modified time.Time, err error)
	// list returns the names in a folder.
	list(name string) ([]string, error)
	// rename renames a folder.
	rename(from, to string) error
	// remove removes a file or an empty folder.
	remove(name string) error
}

// osFolder is a folder of the system.
type osFolder string

// openFolder opens the folder of claims, and creates it if it is missing.
func openFolder(dir string) (folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, disk.Problem("make the folder of claims", dir, err)
	}
	return osFolder(dir), nil
}

func existingFolder(dir string) (folder, error) {
	_, err := os.Stat(dir)
	return osFolder(dir), err
}

func (f osFolder) path(name string) string { return filepath.Join(string(f), filepath.FromSlash(name)) }

func (f osFolder) mkdir(name string) error {
	err := os.Mkdir(f.path(name), 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return disk.Problem("make the claim", f.path(name), err)
	}
	return err
}

func (f osFolder) create(name string, text []byte) error {
	file, err := os.OpenFile(f.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return disk.Problem("make the claim", f.path(name), err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(f.path(name))
		return disk.Problem("make the claim", f.path(name), err)
	}
	return nil
}

func (f osFolder) link(from, name string, text []byte) error {
	err := os.Link(f.path(from), f.path(name))
	for _, none := range []error{unix.EPERM, unix.ENOTSUP, unix.ENOSYS, unix.EMLINK, unix.EXDEV} {
		if errors.Is(err, none) {
			return f.create(name, text)
		}
	}
	return err
}

// touch lets the server choose the time: os.Chtimes would send this machine's.
func (f osFolder) touch(name string) (time.Time, error) {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, f.path(name), now, 0); err != nil {
		return time.Time{}, &fs.PathError{Op: "touch", Path: f.path(name), Err: err}
	}
	info, err := os.Stat(f.path(name))
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (f osFolder) read(name string) ([]byte, time.Time, error) {
	file, err := disk.Open(f.path(name), disk.MaxSmall) // opening asks the server for its attributes
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	text := make([]byte, info.Size())
	n, err := file.ReadAt(text, 0)
	if n == len(text) {
		err = nil
	}
	return text[:n], info.ModTime(), err
}

func (f osFolder) list(name string) ([]string, error) {
	dir, err := os.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (f osFolder) rename(from, to string) error { return os.Rename(f.path(from), f.path(to)) }

func (f osFolder) remove(name string) error { return os.Remove(f.path(name)) }
