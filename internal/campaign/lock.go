package campaign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/power"
)

// BusyError reports that another llem measures on a GPU.
type BusyError struct {
	Device string
	Holder string // what the holder wrote about itself
}

// Error names the GPU and who has it.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%s is in use by another llem (%s)", e.Device, e.Holder)
}

// NextStep is what to do.
func (e *BusyError) NextStep() string {
	return "wait until it has finished, or choose another GPU with CUDA_VISIBLE_DEVICES"
}

// LockDir is where the locks of GPUs lie: one folder for all users of the machine,
// whatever TMPDIR says. It is /run/lock where everybody may write there, else /tmp.
func LockDir() string { return firstShared("/run/lock", "/tmp") }

// firstShared is the first folder in which every user may make files, and otherwise
// the last one. It must not depend on who asks: root may write anywhere.
func firstShared(dirs ...string) string {
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() || info.Mode().Perm()&0o002 == 0 {
			continue
		}
		var s unix.Statfs_t
		if unix.Statfs(dir, &s) == nil && s.Flags&unix.ST_RDONLY == 0 {
			return dir
		}
	}
	return dirs[len(dirs)-1]
}

// LockGPUs takes all GPUs of the meters for this process, or none: two measurements
// on one GPU would count each other's energy. Release gives them back; so does the end
// of the process.
func LockGPUs(dir string, meters []power.Meter) (release func(), err error) {
	var files []*os.File
	release = func() {
		for _, f := range files {
			f.Close()
		}
	}
	uuids := map[string]string{}
	for _, m := range meters {
		for _, d := range m.Devices() {
			if d.Kind == power.GPU && d.UUID != "" && !d.Modelled && !d.OverNetwork {
				uuids[d.UUID] = d.ID
			}
		}
	}
	var order []string
	for u := range uuids {
		order = append(order, u)
	}
	slices.Sort(order) // the same order everywhere
	for _, u := range order {
		f, err := lockFile(filepath.Join(dir, "llem-"+u+".lock"))
		if err != nil {
			release()
			if busy, ok := errors.AsType[*BusyError](err); ok {
				busy.Device = uuids[u]
			}
			return nil, err
		}
		files = append(files, f)
	}
	return release, nil
}

// lockFile takes one lock. Every user of the machine may: the file says nothing but
// who holds it.
func lockFile(path string) (*os.File, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock the GPU: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			text := make([]byte, 200)
			n, _ := f.ReadAt(text, 0)
			holder := secret.Plain(strings.TrimSpace(string(text[:n])))
			if holder == "" {
				holder = "it does not say which"
			}
			return nil, &BusyError{Holder: holder}
		}
		return nil, fmt.Errorf("lock the GPU: %w", err)
	}
	// What it says is for people; a file that cannot be written locks as well.
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintf(f, "process %d of user %d\n", os.Getpid(), os.Getuid())
	}
	return f, nil
}

// openLock opens the file of a lock, or makes it. In a sticky folder the kernel may
// refuse O_CREAT on a file that another user made (fs.protected_regular), so it is
// asked for only where there is none.
func openLock(path string) (*os.File, error) {
	for range 3 {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrPermission) { // flock needs no right to write
			f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		}
		if err == nil {
			if err = alone(f); err != nil {
				return nil, err
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			return f, f.Chmod(0o666) // whatever the umask is
		}
		if !errors.Is(err, fs.ErrExist) { // else another llem was quicker
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s comes and goes", path)
}

// alone refuses what is not an ordinary file of one name: another name of a file of the user's would be
// written to.
func alone(f *os.File) error {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1) {
		err = fmt.Errorf("%s is a link or not an ordinary file: remove it", f.Name())
	}
	if err != nil {
		f.Close()
	}
	return err
}
