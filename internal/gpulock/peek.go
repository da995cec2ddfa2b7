package gpulock

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/power"
)

// Peek returns a *BusyError if [Lock] would: another llem process is measuring on one of the GPUs. It takes no
// lock, because a study that starts at this moment must not find one, and creates no file.
func Peek(dir string, meters []power.Meter, by Holder) error {
	for _, m := range meters {
		for _, d := range m.Devices() {
			if d.Kind != power.GPU || d.UUID == "" || d.Modelled || d.OverNetwork {
				continue
			}
			holder, err := holderOf(filepath.Join(dir, "llem-"+d.UUID+".lock"), by)
			if err != nil {
				return err
			}
			if holder != "" {
				return &BusyError{Device: d.ID, Holder: holder}
			}
		}
	}
	return nil
}

// holderOf returns the holder of a lock that a process cannot take, or "".
func holderOf(path string, by Holder) (string, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the lock of a GPU: %w", err)
	}
	held, err := flocked(st.Ino, by.Shares)
	if err != nil || !held {
		return "", err
	}
	text, err := disk.ReadFile(path, disk.MaxSmall)
	if holder := strings.TrimSpace(string(text[:min(len(text), 200)])); err == nil && holder != "" {
		return holder, nil
	}
	return "unknown process", nil
}

// flocked looks for a flock on a file in the kernel's list. If this process shares, the locks of others that share do
// not count. It does not compare the device, because stat returns another one for an overlay.
func flocked(inode uint64, shares bool) (bool, error) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return false, fmt.Errorf("find out which GPUs are in use: %w", err)
	}
	defer f.Close()
	end := fmt.Sprintf(":%d", inode)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 3: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
		w := strings.Fields(lines.Text())
		if len(w) >= 6 && w[1] == "FLOCK" && (w[3] == "WRITE" || !shares) && strings.HasSuffix(w[5], end) {
			return true, nil
		}
	}
	return false, lines.Err()
}
