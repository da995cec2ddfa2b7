// Package gpulock locks GPUs for a measurement: two processes that measure on one GPU would count each other's energy.
// The locks are files in a folder of the machine that every user may write to; the end of a process releases them.
package gpulock

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/power"
)

// BusyError is the error if another llem process is measuring on a GPU.
type BusyError struct {
	Device string
	Holder string // what the holder wrote to the lock file, or a worker
	Worker bool   // whether workers of one study meet
}

// Error names the GPU and the holder.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%s is in use by another llem process (%s)", e.Device, e.Holder)
}

// NextStep returns the next step for the user.
func (e *BusyError) NextStep() string {
	if e.Worker {
		return "give each worker GPUs of its own, as in CUDA_VISIBLE_DEVICES=1 llem run --worker …, or wait " +
			"until the other " +
			"one has ended; in a study with energy.allow_shared: true they share, and their numbers are marked"
	}
	return "wait until it has finished, or choose another GPU with CUDA_VISIBLE_DEVICES"
}

// Dir returns the folder of the locks of GPUs: one folder for all users of the machine, independent of
// TMPDIR. It is /run/lock if every user may write there, otherwise /tmp.
func Dir() string { return firstShared("/run/lock", "/tmp") }

// firstShared returns the first folder in which every user may create files, otherwise the last one. It must
// not depend on the user: root may write anywhere.
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

// Holder is how a process locks GPUs.
type Holder struct {
	// Worker is its name if it is a worker of a study.
	Worker string
	// Shares allows others that share, too.
	Shares bool
}

// Own returns the GPUs of this machine that are measured, by their unique ids, with the ids of their devices.
func Own(meters []power.Meter) map[string]string {
	out := map[string]string{}
	for _, m := range meters {
		for _, d := range m.Devices() {
			if d.Kind == power.GPU && d.UUID != "" && !d.Modelled && !d.OverNetwork {
				out[d.UUID] = d.ID
			}
		}
	}
	return out
}

// Lock locks all GPUs of the meters for this process, or none: two measurements on one GPU would count
// each other's energy. release unlocks them, as does the end of the process.
func Lock(dir string, meters []power.Meter, by Holder) (release func(), err error) {
	var files []*os.File
	release = func() {
		for _, f := range files {
			_ = disk.CloseFolder(f)
		}
	}
	uuids := Own(meters)
	for _, u := range slices.Sorted(maps.Keys(uuids)) { // the same order in every process
		f, err := lockFile(filepath.Join(dir, "llem-"+u+".lock"), by)
		if err != nil {
			release()
			if busy, ok := errors.AsType[*BusyError](err); ok {
				busy.Device, busy.Worker = uuids[u], by.Worker != "" && strings.HasPrefix(busy.Holder, workerHolds)
			}
			return nil, err
		}
		files = append(files, f)
	}
	return release, nil
}

// workerHolds begins what a worker writes to the lock file.
const workerHolds = "worker "

// lockFile takes one lock. Every user of the machine may: the file only names the holder.
func lockFile(path string, by Holder) (*os.File, error) {
	how, who := unix.LOCK_EX, ""
	if by.Shares {
		how = unix.LOCK_SH
	}
	if by.Worker != "" {
		who = workerHolds + by.Worker + ", "
	}
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock the GPU: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			text := make([]byte, 200)
			n, _ := f.ReadAt(text, 0)
			holder := secret.Plain(strings.TrimSpace(string(text[:n])))
			if holder == "" {
				holder = "unknown process"
			}
			return nil, &BusyError{Holder: holder}
		}
		return nil, fmt.Errorf("lock the GPU: %w", err)
	}
	// The content is for people; a file that cannot be written still locks.
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintf(f, "%sprocess %d of user %d\n", who, os.Getpid(), os.Getuid())
	}
	return f, nil
}

// openLock opens or creates the file of a lock. In a sticky folder, the kernel may reject O_CREAT for a file
// that another user created (fs.protected_regular), so O_CREAT is used only if there is no file.
func openLock(path string) (*os.File, error) {
	for range 3 {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrPermission) { // flock needs no write permission
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
			return f, f.Chmod(0o666) // whatever the umask
		}
		if !errors.Is(err, fs.ErrExist) { // otherwise another process was faster
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s appears and disappears", path)
}

// alone returns an error unless the file is a regular file with a single name: otherwise another file of the
// user would be overwritten.
func alone(f *os.File) error {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1) {
		err = fmt.Errorf("%s is a link or not a regular file: remove it", f.Name())
	}
	if err != nil {
		f.Close()
	}
	return err
}
