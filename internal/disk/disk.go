// Package disk writes files atomically. A large file is rejected before its first byte if it does not fit,
// written beside its final place and renamed, by one process at a time; failures are [*fault.Error].
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// Replace writes path through a temporary file beside it, which it syncs and renames on success and removes
// otherwise. size is the number of bytes to write.
func Replace(path string, size int64, write func(*os.File) error) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := CheckSpace(dir, size); err != nil {
		return err
	}
	f, err := createTemp(dir, "."+filepath.Base(path)+".tmp-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Lock takes an exclusive lock, waiting for its holder until ctx ends. The lock file is not removed:
// otherwise two processes could hold the lock.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, WriteError(path, 0, err)
	}
	l := flock.New(path)
	if _, err := l.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return nil, WriteError(path, 0, fmt.Errorf("locking: %w", err))
	}
	return func() { _ = l.Close() }, nil
}

// RemoveLeftovers deletes temporary files of a process that was killed while writing path. The caller holds
// the lock, so no process is writing them.
func RemoveLeftovers(path string) {
	for _, prefix := range []string{"", "."} {
		old, _ := filepath.Glob(filepath.Join(filepath.Dir(path), prefix+filepath.Base(path)+".tmp-*"))
		for _, p := range old {
			_ = os.RemoveAll(p)
		}
	}
}

// WriteError classifies a failure to write want bytes to path. It returns an error that already has a class
// unchanged.
func WriteError(path string, want int64, err error) error {
	var known *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.New(codes.ClassInterrupted, err, "run it again to continue", "writing %s was interrupted", path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(codes.ClassDiskFull, err,
			"free that much space, or point LLEM_CACHE (HF_HOME for downloads) at a larger disk",
			"no space left to write %s, which needs %s", path, SizeText(want))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.New(codes.ClassPermission, err,
			"point LLEM_CACHE (HF_HOME for downloads) at a writable folder", "cannot write %s", path)
	}
	return fault.New(codes.ClassWriteFailed, err, "check the disk, or set LLEM_CACHE to another folder",
		"cannot write %s",
		path)
}

// SizeText formats a byte count with a decimal unit.
func SizeText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/unit, 0
	for ; v >= unit && i < 4; i++ {
		v /= unit
	}
	return fmt.Sprintf("%.1f %cB", v, "kMGTP"[i])
}
