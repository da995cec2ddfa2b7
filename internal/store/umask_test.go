package store

import "syscall"

// setUmask sets the umask of the process, and returns what it was.
func setUmask(mask int) int { return syscall.Umask(mask) }
