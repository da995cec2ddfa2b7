package metering

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/result"
)

// ProcessError is a process that cannot be measured.
type ProcessError struct{ message, next string }

// Error describes the process.
func (e *ProcessError) Error() string { return e.message }

// NextStep returns what to give instead.
func (e *ProcessError) NextStep() string { return e.next }

// IsUsage marks a mistake on the command line.
func (e *ProcessError) IsUsage() {}

// Alive returns an error if a process is gone.
func Alive(pid int) error {
	p, ok := kin.Read(pid)
	if pid < 1 || !ok || p.Dead() {
		return &ProcessError{fmt.Sprintf("there is no process %d", pid), "give the number of a process that runs " +
			"(pgrep finds it by name)"}
	}
	return nil
}

// pollEvery is how often a process is looked for where the kernel has no descriptors of processes.
const pollEvery = 20 * time.Millisecond

// Process measures what a process does until it ends, the context ends, or the time is over; 0 means unlimited.
func (m *Meter) Process(ctx context.Context, limit time.Duration) (*result.Record, error) {
	gone, stop := watch(m.options.PID)
	defer stop()
	w, err := m.Begin(ctx)
	if err != nil {
		return nil, err
	}
	var over <-chan time.Time
	if limit > 0 {
		over = time.After(limit)
	}
	select {
	case <-gone:
	case <-ctx.Done():
	case <-over:
	}
	return w.End(ctx, Marks{StartNS: w.from, EndNS: w.Ended()})
}

// watch returns a channel that is closed when a process has ended.
func watch(pid int) (gone <-chan struct{}, stop func()) {
	out, end := make(chan struct{}), make(chan struct{})
	fd, err := unix.PidfdOpen(pid, 0)
	go func() {
		if err == nil {
			defer func() { _ = unix.Close(fd) }()
		}
		for {
			select {
			case <-end:
				return
			default:
			}
			if err == nil {
				n, pollErr := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}},
					int(pollEvery.Milliseconds()))
				if n > 0 && pollErr == nil {
					close(out)
					return
				}
				continue
			}
			if Alive(pid) != nil || errors.Is(err, unix.ESRCH) {
				close(out)
				return
			}
			time.Sleep(pollEvery)
		}
	}()
	return out, func() { close(end) }
}
