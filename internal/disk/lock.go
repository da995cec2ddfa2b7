package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// LockedError says that another process writes to a study's folder.
type LockedError struct {
	// Path of the study's folder.
	Path string
}

// Error names the folder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another llem is writing to %s", e.Path)
}

// NextStep is what to do.
func (e *LockedError) NextStep() string { return "wait until it has finished, or stop it" }

// LockFolder keeps other processes from writing to the folder of a file until the file is closed.
func LockFolder(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return &LockedError{filepath.Dir(file.Name())}
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
		return nil // some network file systems have no locks
	}
	return err
}
