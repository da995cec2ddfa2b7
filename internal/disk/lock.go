package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// LockedError is the error if another process is writing to a study's folder.
type LockedError struct {
	// Path of the study's folder.
	Path string
}

// Error names the folder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("another llem process is writing to %s", e.Path)
}

// NextStep returns the next step for the user.
func (e *LockedError) NextStep() string { return "wait until it has finished, or stop it" }

// LockFolder prevents other processes from writing to the folder of a file until the file is closed.
func LockFolder(file *os.File) error { return lock(file, unix.LOCK_EX) }

// CheckFolder returns a [*LockedError] if another process has locked the folder of a file with [LockFolder]. Checks of
// several processes at once do not disturb each other.
func CheckFolder(file *os.File) error { return lock(file, unix.LOCK_SH) }

// CloseFolder unlocks a folder, or another locked file, and closes the file. To close it alone would not do: a process
// that this one has just started may still hold a copy of the file, and the lock with it.
func CloseFolder(file *os.File) error {
	_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
	return file.Close()
}

func lock(file *os.File, how int) error {
	err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return &LockedError{filepath.Dir(file.Name())}
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
		return nil // some network file systems do not support locks
	}
	return err
}
