package ending

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Pipes knows whether somebody still reads what the program prints. Without it the first write into a closed pipe
// would kill the program by SIGPIPE, with engines, temporary files and a summary that is not written.
type Pipes struct {
	mu  sync.Mutex
	end context.CancelCauseFunc
}

// Interruptible also ends the context when the reader of a stream is gone.
func (p *Pipes) Interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	// Someone has to be told of the signal, for the write to return an error instead. Nobody has to listen: engines
	// break pipes, too.
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGPIPE)
	ctx, stop := interruptible(parent)
	ctx, end := context.WithCancelCause(ctx)
	p.mu.Lock()
	p.end = end
	p.mu.Unlock()
	return ctx, func() { end(nil); stop(); signal.Stop(ch) }
}

// broken ends the context.
func (p *Pipes) broken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		p.end(ErrInterrupted)
	}
}

// Stream returns a standard stream of the program.
func (p *Pipes) Stream(file *os.File) Stream { return Stream{file, p} }

// Stream is a standard stream. It is a file to whoever asks for its descriptor, such as the live view.
type Stream struct {
	file  *os.File
	pipes *Pipes
}

// Write writes, and reports when the reader is gone.
func (s Stream) Write(b []byte) (int, error) {
	n, err := s.file.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		s.pipes.broken()
	}
	return n, err
}

// Read reads from the file.
func (s Stream) Read(b []byte) (int, error) { return s.file.Read(b) }

// Close closes the file.
func (s Stream) Close() error { return s.file.Close() }

// Fd is the file's descriptor.
func (s Stream) Fd() uintptr { return s.file.Fd() }
