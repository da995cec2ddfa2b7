//go:build linux || darwin

package disk

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// spaceReserve stays free, so that logs and results can still be written after a model.
const spaceReserve = 64 << 20

// CheckSpace returns an error if dir has no room for size more bytes, before 100 GB have been written.
func CheckSpace(dir string, size int64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return nil //nolint:nilerr // the write itself will tell
	}
	free := int64(s.Bavail) * s.Bsize
	if size > 0 && free < size+spaceReserve {
		return fault.New(codes.ClassDiskFull, syscall.ENOSPC,
			"free some space, or point LLEM_CACHE (HF_HOME for downloads) at a larger disk",
			"%s has %s free, but %s are needed", dir, SizeText(free), SizeText(size))
	}
	return nil
}
