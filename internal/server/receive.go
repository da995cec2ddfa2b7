package server

import (
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// segment is what one call has received: the bytes up to end, which arrived at stamp and were read at woke.
type segment struct {
	end         int
	stamp, woke int64
}

// Close ends the connection, and reads of it.
func (c *conn) Close() error {
	if c.box != nil {
		return c.box.close()
	}
	return c.tcp.Close()
}

// write sends bytes.
func (c *conn) write(p []byte) error {
	if c.box != nil {
		return c.box.write(p)
	}
	_, err := c.tcp.Write(p)
	return err
}

// offer sends what the socket takes of a request at once, and returns how much that was. The next write or read has
// its error.
func (c *conn) offer(request []byte) (n int) {
	c.wrote, c.first = 0, 0
	c.waitForEnd(false)
	if c.box != nil {
		n, _ = c.box.writeSome(request)
	} else {
		_ = c.raw.Write(func(fd uintptr) bool {
			n, _ = unix.Write(int(fd), request)
			return true
		})
	}
	c.wrote = clock.Mono()
	return max(0, n)
}

// gone reports whether the server has closed a connection without a request, or sends what nobody asked for.
func (c *conn) gone() (gone bool) {
	look := func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	}
	if c.box == nil {
		return c.raw.Control(look) != nil || gone
	}
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	if !c.box.closed {
		look(uintptr(c.box.fd))
	}
	return gone || c.box.closed
}

// waitForEnd reports whether the reader needs nothing before the end of the answer, so that a loop need not wake it.
func (c *conn) waitForEnd(yes bool) {
	if c.box != nil {
		c.box.patient = yes
	}
}

// fill receives more bytes; it returns io.EOF when the server has closed.
func (c *conn) fill() error {
	if c.box != nil {
		return c.box.fill()
	}
	if err := c.room(); err != nil {
		return err
	}
	if err := c.raw.Read(c.receive); err != nil {
		return err
	}
	s, err := c.took(monoOfWall)
	if err == nil {
		c.show(s)
	}
	return err
}

// room makes room for more bytes in the buffer.
func (c *conn) room() error {
	if c.r == c.end {
		c.r, c.w, c.end = 0, 0, 0
	}
	if c.end == len(c.buf) {
		if c.r == 0 {
			return fmt.Errorf("a line of more than %d bytes", len(c.buf))
		}
		c.w = copy(c.buf, c.buf[c.r:c.end])
		c.r, c.end = 0, c.w
	}
	return nil
}

// took accepts what has been received. offset returns the difference of two clocks, as monoOfWall does.
func (c *conn) took(offset func() int64) (segment, error) {
	woke := clock.Mono()
	switch {
	case c.errno != 0:
		return segment{}, fmt.Errorf("receive: %w", c.errno)
	case c.got == 0:
		return segment{}, io.EOF
	}
	s := segment{stamp: woke, woke: woke}
	if wall, ok := arrival(c.oob[:c.msg.Controllen]); ok {
		// Trust the kernel's timestamp only if it lies between the previous one and now; otherwise the wall clock was
		// stepped. clockError allows for not reading both clocks at the same instant.
		if at := wall + offset(); at > c.latest-clockError && at < woke {
			s.stamp = max(at, c.latest)
		}
	}
	c.latest = s.stamp
	c.end += c.got
	s.end = c.end
	return s, nil
}

// show gives received bytes to the reader.
func (c *conn) show(s segment) {
	c.w, c.stamp, c.woke = s.end, s.stamp, s.woke
	if c.first == 0 {
		c.first = c.stamp
	}
}

// recvmsg receives the available bytes; false means wait for more. It is recvmsg(2) itself, because the wrapper
// allocates room for an address at each call.
func (c *conn) recvmsg(fd uintptr) bool {
	for {
		c.iov.Base = &c.buf[c.end]
		c.iov.SetLen(len(c.buf) - c.end)
		c.msg = unix.Msghdr{Iov: &c.iov, Control: &c.oob[0]}
		c.msg.SetIovlen(1)
		c.msg.SetControllen(len(c.oob))
		var n uintptr
		// The socket does not block, so the scheduler need not be told.
		n, _, c.errno = unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&c.msg)), 0)
		if c.got = int(n); c.errno != unix.EINTR {
			return c.errno != unix.EAGAIN
		}
	}
}

// clockError exceeds the error of reading two clocks one after the other.
const clockError = int64(time.Millisecond)

// monoOfWall returns the current difference between CLOCK_MONOTONIC and the wall clock. If the core was lost
// between the two readings, it reads again.
func monoOfWall() (offset int64) {
	for range 3 {
		before := clock.Mono()
		wall := time.Now().UnixNano()
		between := clock.Mono() - before
		offset = before + between/2 - wall
		if between < 10_000 {
			break
		}
	}
	return offset
}

// arrival returns the kernel's timestamp from control data: one message with a timespec.
func arrival(oob []byte) (int64, bool) {
	const header = unix.SizeofCmsghdr
	if len(oob) < header+int(unsafe.Sizeof(unix.Timespec{})) {
		return 0, false
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return 0, false
	}
	return (*unix.Timespec)(unsafe.Pointer(&oob[unix.CmsgLen(0)])).Nano(), true
}
