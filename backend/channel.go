package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/llenergymeasure/llem/backend/internal/lines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/watch"
	"github.com/llenergymeasure/llem/note"
)

// received is one line from the worker, or the error that ended the stream.
type received struct {
	reply reply
	err   error
}

// spawn starts the worker's process with a pipe for each direction.
func (w *worker) spawn(cmd Command) error {
	if cmd.Container != nil {
		return w.spawnInside(cmd)
	}
	childIn, send, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe for %s worker: %w", w.name, err)
	}
	defer childIn.Close()
	receive, childOut, err := os.Pipe()
	if err != nil {
		send.Close()
		return fmt.Errorf("pipe for %s worker: %w", w.name, err)
	}
	defer childOut.Close()
	w.proc, err = spawn(cmd, w.opt.LogPath, []*os.File{childIn, childOut})
	if err != nil {
		send.Close()
		receive.Close()
		return err
	}
	w.listen(send, receive)
	return nil
}

// spawnInside starts the worker in a container, with named pipes.
func (w *worker) spawnInside(cmd Command) error {
	box, err := enclose(cmd.Container)
	if err != nil {
		return err
	}
	send, receive, err := box.channel()
	if err != nil {
		box.discard()
		return err
	}
	if w.proc, err = box.start(cmd, w.opt.LogPath, true); err != nil {
		send.Close()
		receive.Close()
		return err
	}
	w.listen(send, receive)
	return nil
}

// listen starts reading replies.
func (w *worker) listen(send, receive *os.File) {
	w.send, w.vital = send, w.proc.vital(w.opt.StallTimeout, false)
	go w.read(receive)
	go func() {
		// A process that left the group may hold the pipe open indefinitely.
		<-w.proc.exited
		_ = receive.SetReadDeadline(time.Now().Add(drainTime)) // already closed
	}()
}

// drainTime is how long replies of an engine that has exited are still read.
const drainTime = time.Second

// read moves replies from the pipe to the channel until the worker closes it.
func (w *worker) read(receive *os.File) {
	defer close(w.replies)
	defer receive.Close()
	d := lines.NewDecoder[reply](receive)
	for {
		msg, err := d.Next()
		w.proc.box.opened()
		w.replies <- received{msg, err}
		if err != nil {
			return
		}
	}
}

// next returns the next reply to command id, or the failure it reports.
func (w *worker) next(ctx context.Context, id int64, doing string) (reply, error) {
	ctx, stop := w.vital.Watch(ctx)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return reply{}, w.given(ctx, doing)
		case got, ok := <-w.replies:
			switch {
			case !ok || errors.Is(got.err, io.EOF) || errors.Is(got.err, io.ErrUnexpectedEOF),
				errors.Is(got.err, os.ErrDeadlineExceeded):
				return reply{}, w.lost(doing)
			case got.err != nil:
				return reply{}, w.protocolError("%v", got.err)
			case got.reply.ID != id:
				continue // an answer to an abandoned command
			case got.reply.Event == eventError && got.reply.Failure != nil:
				f := got.reply.Failure
				return reply{}, &note.Failure{Class: f.Class, Message: f.Message, Next: f.Next,
					LogTail: w.proc.logTail()}
			}
			return got.reply, nil
		}
	}
}

// write sends a command under a new id. It returns when ctx ends, even if the worker reads nothing.
func (w *worker) write(ctx context.Context, c command, doing string) (id int64, err error) {
	if w.gone != nil {
		return 0, w.gone
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	w.lastID++
	c.ID = w.lastID
	line, err := lines.Encode(c)
	if err != nil {
		f := &note.Failure{Class: codes.ClassProtocol, Message: fmt.Sprintf("send %q to the %s engine", c.Op, w.name),
			Err:  err,
			Next: "this is a bug in llem"}
		if errors.Is(err, lines.ErrTooLong) {
			f.Class, f.Next = codes.ClassConfig, "use fewer or shorter prompts"
		}
		return 0, f
	}
	watched, stop := w.vital.Watch(ctx)
	defer stop()
	n, err := writeUntil(watched, w.send, line)
	switch {
	case err == nil:
		return c.ID, nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return 0, w.lost(doing)
	case ctx.Err() == nil:
		return 0, w.given(watched, doing)
	case n > 0: // half a line was written: no further command can follow
		_ = w.kill(&note.Failure{Class: codes.ClassHung,
			Next:    "start the engine again; its last lines are in engine.log",
			Message: fmt.Sprintf("%s engine did not read its commands while %s and was killed", w.name, doing)})
	}
	return 0, ctx.Err()
}

// given returns why the wait for an engine ended with ctx. A stalled engine is killed.
func (w *worker) given(ctx context.Context, doing string) error {
	if s, ok := errors.AsType[*watch.Stalled](context.Cause(ctx)); ok {
		return w.kill(s.Failure(w.name+" engine", doing))
	}
	return ctx.Err()
}

// writeUntil writes to a pipe until ctx ends; it then returns os.ErrDeadlineExceeded.
func writeUntil(ctx context.Context, pipe *os.File, b []byte) (int, error) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = pipe.SetWriteDeadline(time.Unix(1, 0)) // a closed pipe ends the write itself
	})
	n, err := pipe.Write(b)
	if !stop() {
		<-ended
		_ = pipe.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// lost returns the failure of a worker that is gone.
func (w *worker) lost(doing string) error {
	w.gone = w.proc.exitFailure(w.name, doing)
	return w.gone
}

// kill ends an engine for the reason f, completes f and returns it.
func (w *worker) kill(f *note.Failure) error {
	w.proc.terminate(0, 0)
	f.LogTail = w.proc.logTail()
	if w.gone == nil {
		w.gone = f
	}
	return f
}

func (w *worker) protocolError(format string, args ...any) error {
	return w.kill(&note.Failure{
		Class:   codes.ClassProtocol,
		Message: w.name + " worker broke the protocol: " + fmt.Sprintf(format, args...),
		Next:    "this is a bug in the worker; its output is in engine.log",
	})
}

// late turns the expiry of our own deadline into a failure. The end of the outer context is returned unchanged,
// without waiting for an engine that is still starting.
func (w *worker) late(outer context.Context, err error, format string, d time.Duration) error {
	if outer.Err() != nil {
		w.gone = outer.Err()
		return w.gone
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return w.kill(&note.Failure{
		Class:   codes.ClassStartTimeout,
		Message: w.name + " engine " + fmt.Sprintf(format, d),
		Next:    "see engine.log for what it was doing",
	})
}
