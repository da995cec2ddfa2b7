//go:build !linux

package merge

import "os"

// syncAll writes the folder to its disk; the system writes the files some time later.
func syncAll(dir *os.File) error { return dir.Sync() }
