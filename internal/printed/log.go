// Package printed keeps what child programs print within limits: the log of an engine, whose
// first and last part stay, and the answer to a short question.
//
// An engine writes its log itself, into a file: nothing stands between that could make it
// wait, or cost time while it is measured. A [Keeper] looks at the size of the file twice a
// second, and gives the room of the middle back to the file system. When the engine is gone,
// the two parts are joined by a line that tells how much is not there.
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

// What stays of a log, in bytes: causes of failures stand in its first or its last part.
const (
	Head = 4 << 20
	Tail = 12 << 20
)

const (
	// slack is by how much a log may be longer before its middle is given back.
	slack = 16 << 20
	// look is the time between two looks at its size.
	look = 500 * time.Millisecond
	// block is the unit of a file system in which room is given back.
	block = 4096
)

// Keeper bounds a log that another process writes.
type Keeper struct {
	f *os.File
	// freed is up to where the middle has been given back; lost counts bytes that have
	// been taken out of the file.
	freed, lost int64
	// line is the length of the line that tells so.
	line int64
	end  chan struct{}
	all  sync.WaitGroup
}

// Keep begins to bound the log at path. One that cannot be opened is not bounded.
func Keep(path string) *Keeper {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // not to append: parts are moved
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

// trim gives the middle of a long log back.
func (k *Keeper) trim() {
	size := k.size()
	to := (size - Tail) / block * block
	if to-k.freed < slack {
		return
	}
	err := unix.Fallocate(int(k.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, k.freed, to-k.freed)
	if err != nil { // a file system without holes: what comes meanwhile is lost
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

// Close ends the bounding and joins what is left. The process that writes has ended.
func (k *Keeper) Close() {
	if k == nil {
		return
	}
	close(k.end)
	k.all.Wait()
	k.join()
	_ = k.f.Close()
}

// join takes the middle of a long log out of the file, and says so in its place. Errors
// leave the log as it is: it is not what a run is made for.
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

// leftOut is the line in the place of bytes that are not kept.
func leftOut(n int64) []byte {
	return fmt.Appendf(nil, "\n[llem: %d bytes of the engine's output are left out here]\n", n)
}

// Copy copies a log from a place on that may still be kept by a [Keeper], and returns the
// place at its end. Where its middle has been given back it has a line instead. A log that
// ends before that place was joined meanwhile: what is left of it is copied.
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
		case errors.Is(err, unix.ENXIO): // nothing but a hole is left
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
