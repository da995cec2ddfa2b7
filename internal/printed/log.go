// Package printed bounds the output of child programs: the log of an engine, whose beginning and end are kept, and
// the answer to a short command.
//
// An engine writes its log itself, into a file: there is no process in between that could delay it, or cost time
// while it is measured. A [Keeper] checks the size of the file twice a second, and returns the blocks of the
// middle to the file system. When the engine is gone, the two parts are joined by a line that reports how much is
// missing.
package printed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The sizes of the kept parts of a log, in bytes: causes of failures are in the first or the last part.
const (
	Head = 4 << 20
	Tail = 12 << 20
)

const (
	// slack is how much longer a log may get before its middle is freed.
	slack = 16 << 20
	// look is the time between two checks of its size.
	look = 500 * time.Millisecond
	// block is the size of the file system blocks that are freed.
	block = 4096
)

// Keeper bounds a log that another process writes.
type Keeper struct {
	f *os.File
	// freed is the offset up to which the middle has been freed; lost counts bytes that were removed from the file.
	freed, lost int64
	// line is the length of the line that reports this.
	line int64
	end  chan struct{}
	all  sync.WaitGroup
}

// Keep starts bounding the log at path. A log that cannot be opened is not bounded.
func Keep(path string) *Keeper {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // not in append mode: parts are moved
	if err != nil {
		return nil
	}
	k := &Keeper{f: f, freed: Head, end: make(chan struct{})}
	k.all.Go(k.watch)
	return k
}

func (k *Keeper) watch() {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-k.end:
			return
		case <-tick.C:
			k.trim()
		}
	}
}

// trim frees the middle of a long log.
func (k *Keeper) trim() {
	size := k.size()
	to := (size - Tail) / block * block
	if to-k.freed < slack {
		return
	}
	err := unix.Fallocate(int(k.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, k.freed, to-k.freed)
	if err != nil { // a file system without holes: what is written in the meantime is lost
		k.join()
		return
	}
	k.freed = to
}

func (k *Keeper) size() int64 {
	info, err := k.f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// Close stops the bounding and joins the remaining parts. Call it after the writing process has ended.
func (k *Keeper) Close() {
	if k == nil {
		return
	}
	close(k.end)
	k.all.Wait()
	k.join()
	_ = k.f.Close()
}

// join removes the middle of a long log from the file, and replaces it by a line that reports so. Errors leave the
// log unchanged: it is not essential to a run.
func (k *Keeper) join() {
	size := k.size()
	left := size - Head - Tail - k.line
	if left < block {
		return
	}
	line := leftOut(k.lost + left)
	at := int64(Head)
	if _, err := k.f.WriteAt(line, at); err != nil {
		return
	}
	at += int64(len(line))
	n, err := io.Copy(io.NewOffsetWriter(k.f, at), io.NewSectionReader(k.f, size-Tail, Tail))
	if err != nil {
		return
	}
	if k.f.Truncate(at+n) == nil {
		k.lost, k.line, k.freed = k.lost+left, int64(len(line)), Head
	}
}

// leftOut returns the line that replaces n removed bytes.
func leftOut(n int64) []byte {
	return fmt.Appendf(nil, "\n[llem: %d bytes of the engine's output are left out here]\n", n)
}

// Copy copies a log, which a [Keeper] may still bound, from an offset on, and returns the offset of its end. A
// line replaces the middle if that has been freed. If the log is shorter than the offset, it was joined in the
// meantime: the remaining log is copied.
func Copy(to io.Writer, from *os.File, at int64) (end int64, err error) {
	info, err := from.Stat()
	if err != nil {
		return at, err
	}
	if end = info.Size(); end < at {
		at = min(end, Head)
	}
	for at < end {
		data, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO): // only a hole is left
			data = end
		case err != nil:
			data = at
		}
		if data = min(data, end); data > at {
			if _, err := to.Write(leftOut(data - at)); err != nil {
				return at, err
			}
			at = data
			continue
		}
		hole, err := unix.Seek(int(from.Fd()), at, unix.SEEK_HOLE)
		if err != nil || hole <= at || hole > end {
			hole = end
		}
		n, err := io.Copy(to, io.NewSectionReader(from, at, hole-at))
		if at += n; err != nil || n == 0 {
			return at, err
		}
	}
	return at, nil
}
