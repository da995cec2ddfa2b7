package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// loop receives what comes over all connections of a run. The kernel stamps bytes when they arrive, so nobody has to
// wake up for each: the loop copies them into the buffers of their connections, with their stamps, and wakes the
// reader of a connection when it may have all of its answer. An event costs one system call and no other thread.
//
//	kernel ──epoll──▶ loop ──segments──▶ inbox of a connection ──(end, EOF, nearly full, quiet)──▶ its reader
//
// Connections are edge-triggered: whoever waits for data has read until there were none.
type loop struct {
	set     *os.File // for Go's poller
	raw     syscall.RawConn
	epoll   int
	heard   func(at int64)
	running sync.WaitGroup
	done    chan struct{}

	events []unix.EpollEvent
	got    int // of events

	mu    sync.RWMutex
	boxes []*inbox // by their number in the set; nil is free
	free  []int

	offset, offsetAt int64 // the result of monoOfWall, and when
}

// Numbers of a loop.
const (
	// batch is the number of events that are asked for at once.
	batch = 256
	// quiet is the time after which a reader is woken without a sign of its answer's end.
	quiet = 50 * time.Millisecond
	// offsetValid is how long the difference of two clocks is used.
	offsetValid = int64(time.Millisecond)
)

// inbox is a connection's part of a loop. While its reader is parked, the buffer is the loop's.
type inbox struct {
	loop *loop
	conn *conn
	fd   int
	at   int           // its number
	wake chan struct{} // has room for one
	// patient is set by the reader: it needs nothing before the end of the answer.
	patient bool

	mu     sync.Mutex
	list   []segment
	next   int   // of list, for the reader
	over   error // why nothing more comes
	parked bool  // the reader waits
	closed bool
}

// newLoop starts a loop. It calls heard when bytes have come.
func newLoop(heard func(at int64)) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	_ = unix.SetNonblock(epoll, true) // so that Go's poller takes it
	set := os.NewFile(uintptr(epoll), "epoll")
	raw, err := set.SyscallConn()
	if err == nil {
		err = set.SetReadDeadline(time.Time{}) // fails if Go's poller has not taken it
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for events: %w", err), set.Close())
	}
	l := &loop{set: set, raw: raw, epoll: epoll, heard: heard, done: make(chan struct{}),
		events: make([]unix.EpollEvent, batch)}
	l.running.Go(l.turn)
	l.running.Go(l.sweep)
	return l, nil
}

// end stops a loop whose connections are closed.
func (l *loop) end() {
	close(l.done)
	_ = l.set.Close()
	l.running.Wait()
}

// adopt takes a connection out of the care of Go's poller.
func (l *loop) adopt(c *conn) error {
	fd := -1
	var err error
	fails := c.raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 3) })
	if err := errors.Join(fails, err, c.tcp.Close()); err != nil {
		return fmt.Errorf("take over a socket: %w", err)
	}
	return l.add(c, fd)
}

// add reads a socket, which does not block and is the loop's from now on, into a connection.
func (l *loop) add(c *conn, fd int) error {
	c.box = &inbox{loop: l, conn: c, fd: fd, wake: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		c.box.at, l.free = l.free[n-1], l.free[:n-1]
		l.boxes[c.box.at] = c.box
	} else {
		c.box.at, l.boxes = len(l.boxes), append(l.boxes, c.box)
	}
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.box.at)})
	if err != nil {
		l.boxes[c.box.at], l.free = nil, append(l.free, c.box.at)
		return errors.Join(fmt.Errorf("wait for a connection: %w", err), c.box.shut())
	}
	return nil
}

// turn is the loop. Go's poller waits for the set as a whole: a thread of its own that blocks in epoll_wait costs more.
func (l *loop) turn() {
	wait := l.wait
	for l.raw.Read(wait) == nil {
		latest := int64(0)
		l.mu.RLock()
		for _, e := range l.events[:l.got] {
			if b := l.boxes[e.Fd]; b != nil {
				latest = max(latest, b.hear(e.Events))
			}
		}
		l.mu.RUnlock()
		if latest > 0 {
			l.heard(latest)
		}
	}
}

// wait asks for events; false means that there are none. The call does not block, so the scheduler need not be told.
func (l *loop) wait(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&l.events[0])),
		uintptr(len(l.events)), 0, 0, 0)
	l.got = 0
	if errno == 0 {
		l.got = int(n)
	}
	return l.got > 0
}

// sweep wakes readers for which nothing has come for a while.
func (l *loop) sweep() {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
		}
		now := clock.Mono()
		l.mu.RLock()
		for _, b := range l.boxes {
			if b != nil {
				b.sweep(now)
			}
		}
		l.mu.RUnlock()
	}
}

// monoOfWall returns a recent result of the function.
func (l *loop) monoOfWall() int64 {
	if now := clock.Mono(); now-l.offsetAt > offsetValid {
		l.offset, l.offsetAt = monoOfWall(), now
	}
	return l.offset
}

// hear receives for a reader that is parked, and returns when the last bytes came; 0 for none.
func (b *inbox) hear(events uint32) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.parked {
		return 0 // the reader reads on before it parks
	}
	c, before := b.conn, b.conn.latest
	for b.over == nil && c.end < len(c.buf) {
		room := len(c.buf) - c.end
		if !b.take(b.loop.monoOfWall) {
			break
		}
		// A short read has emptied the socket, but for the end of the connection.
		if c.got < room && events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
			break
		}
	}
	if b.over != nil || !b.patient || len(c.buf)-c.end < len(c.buf)/4 ||
		bytes.HasSuffix(c.buf[:c.end], []byte("\r\n\r\n")) {
		b.unpark()
	}
	if c.latest == before {
		return 0
	}
	return c.latest
}

// sweep wakes a reader for which nothing has come for a while.
func (b *inbox) sweep(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parked && len(b.list) > 0 && now-b.conn.latest > int64(quiet) {
		b.unpark()
	}
}

// unpark wakes the reader.
func (b *inbox) unpark() {
	b.parked = false
	b.wake <- struct{}{}
}

// take receives once; false means that there is nothing.
func (b *inbox) take(offset func() int64) bool {
	if !b.conn.recvmsg(uintptr(b.fd)) {
		return false
	}
	s, err := b.conn.took(offset)
	if err != nil {
		b.over = err
		return true
	}
	b.list = append(b.list, s)
	return true
}

// fill shows the next bytes to the reader.
func (b *inbox) fill() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.next < len(b.list) {
			b.conn.show(b.list[b.next])
			if b.next++; b.next == len(b.list) {
				b.list, b.next = b.list[:0], 0
			}
			return nil
		}
		if b.over != nil {
			return b.over
		}
		if err := b.conn.room(); err != nil {
			return err
		}
		if b.take(monoOfWall) {
			if b.over == nil {
				b.loop.heard(b.conn.latest)
			}
			continue
		}
		b.parked = true
		b.mu.Unlock()
		<-b.wake
		b.mu.Lock()
	}
}

// write sends bytes.
func (b *inbox) write(p []byte) error {
	for len(p) > 0 {
		n, err := b.writeSome(p)
		switch {
		case errors.Is(err, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLOUT}}, int(quiet/time.Millisecond))
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		}
		p = p[max(0, n):]
	}
	return nil
}

// writeSome sends what the socket takes.
func (b *inbox) writeSome(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, net.ErrClosed
	}
	return unix.Write(b.fd, p)
}

// close ends the connection, and gives its number back.
func (b *inbox) close() error {
	err := b.shut()
	l := b.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.boxes[b.at] == b {
		l.boxes[b.at], l.free = nil, append(l.free, b.at)
	}
	return err
}

// shut closes the socket and wakes its reader.
func (b *inbox) shut() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed, b.over = true, net.ErrClosed
	if b.parked {
		b.unpark()
	}
	return unix.Close(b.fd)
}
