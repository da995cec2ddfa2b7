//go:build linux || darwin

package disk

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// spaceReserve is left free, so that a full model does not leave the machine
// without room for logs and results.
const spaceReserve = 64 << 20

// CheckSpace fails early when dir cannot take size more bytes; finding that
// out after writing 100 GB helps nobody.
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
