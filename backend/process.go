package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/guardian"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/internal/runners"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/internal/watch"
	"github.com/llenergymeasure/llem/note"
)

// Command is how a process is started.
type Command struct {
	// Path of the program.
	Path string
	// Args are the arguments without the program's name.
	Args []string
	// Env is added to the parent's environment, as KEY=VALUE.
	Env []string
	// Folders of this machine that the command needs.
	Folders []string
	// Container is the image in which the command runs; nil runs it as a process of this machine.
	Container *Container
	// Symptoms map output of this program to failures; they are tried before the symptoms that engines share.
	Symptoms []Symptom
}

// process is a running child in its own process group.
type process struct {
	cmd     *exec.Cmd
	logPath string
	tempLog bool
	// exited is closed once the child has been reaped and the rest of its group killed; err is set before that.
	exited chan struct{}
	err    error
	// symptoms are the program's own symptoms.
	symptoms []Symptom
	// box is the container whose client cmd is; nil without a container.
	box *enclosure
	// ward tracks the engine's processes. root is the first of them, once known.
	ward *guardian.Ward
	root atomic.Int64
}

// spawn starts cmd with extra files from descriptor 3 on. Output goes to logPath, or to a temporary file if
// logPath is empty.
func spawn(cmd Command, logPath string, extra []*os.File) (*process, error) {
	c := exec.Command(cmd.Path, cmd.Args...)
	c.Env = append(secret.Env(os.Environ()), cmd.Env...)
	c.ExtraFiles = extra
	return start(c, logPath, nil, cmd.Symptoms)
}

// start starts a child: the client of box, if box is not nil.
func start(c *exec.Cmd, logPath string, box *enclosure, symptoms []Symptom) (*process, error) {
	log, temp, err := openLog(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	c.Stdout, c.Stderr = log, log
	// The own group lets the whole engine be signalled at once and keeps a terminal's Ctrl-C to the parent; the child
	// dies with the parent. Processes that the child starts are the guardian's task.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if box == nil { // the client of a container sees the end of its input
		c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	p := &process{cmd: c, logPath: log.Name(), tempLog: temp, exited: make(chan struct{}), box: box,
		symptoms: symptoms}
	p.guarded()
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		p.ward.Release()
		p.discardLog()
		return nil, &note.Failure{Class: codes.ClassNotInstalled, Message: "start " + c.Path, Err: err,
			Next: "check that the file exists and may be executed"}
	}
	p.ward.Started(c.Process.Pid)
	return p, nil
}

// guarded puts the engine, which is about to start, under guard.
func (p *process) guarded() {
	var temporary []string
	if filepath.Dir(p.logPath) == filepath.Clean(os.TempDir()) { // a folder that several runs share
		temporary = append(temporary, p.logPath)
	}
	if p.box == nil {
		p.ward = guardian.Process(temporary...)
		p.cmd.Env = append(p.cmd.Environ(), p.ward.Mark())
		return
	}
	p.ward = guardian.Contained(p.box.client, p.box.name, append(temporary, p.box.dir)...)
}

// group returns the engine's process group; 0 if unknown: the id of an exited process may be reused.
func (p *process) group() int {
	select {
	case <-p.exited:
		return 0
	default:
	}
	if p.box == nil {
		return p.cmd.Process.Pid
	}
	if p.root.Load() == 0 { // the client takes time to answer
		p.root.Store(int64(p.box.pid()))
	}
	return int(p.root.Load())
}

// family returns the engine's processes.
func (p *process) family() kin.Family { return p.ward.Notice(p.group()) }

// vital watches whether the engine makes progress; talks is defined at [watch.Engine].
func (p *process) vital(limit time.Duration, talks bool) *watch.Engine {
	return &watch.Engine{Limit: limit, Root: p.group, Family: p.family, Talks: talks}
}

// close ends the engine in increasingly forceful steps, and returns when none of its processes is left.
func (p *process) close(name string, voluntary, term time.Duration) error {
	group := p.group()
	p.terminate(voluntary, term)
	err := errors.Join(p.ward.End(name, group), p.leftover())
	p.discardLog()
	return err
}

// run starts the child and waits for it, on one thread: the death signal comes when the thread that started the
// child ends, and any other thread may end before the process does.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	log := printed.Keep(p.logPath)
	p.err = p.cmd.Wait()
	// Grandchildren may have outlived the child. They are killed now and never later: the id of the group may be
	// reused.
	p.signal(syscall.SIGKILL)
	if p.box != nil {
		p.box.remove()
	}
	log.Close()
	close(p.exited)
}

func openLog(path string) (f *os.File, temp bool, err error) {
	if path == "" {
		if f, err = scratch.File("engine", ".log"); err != nil {
			return nil, false, fmt.Errorf("open engine log: %w", err)
		}
		f.Close()
		path, temp = f.Name(), true
	}
	// Append mode: the log may be truncated while it is written.
	f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, false, fmt.Errorf("open engine log: %w", err)
	}
	return f, temp, nil
}

// terminate ends the child in steps: it waits for a voluntary exit, then sends TERM to the group, then KILL. It
// returns when the child is gone and the rest of its group has been killed.
func (p *process) terminate(voluntary, term time.Duration) {
	p.family()
	if p.waitFor(voluntary) {
		return
	}
	if p.box != nil && p.box.pid() == 0 {
		// A client that dies now may leave a container that its service is about to create.
		p.box.hangUp()
		term = max(term, madeWithin)
	} else {
		p.signal(syscall.SIGTERM)
	}
	if p.waitFor(term) {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// discardLog removes a temporary log.
func (p *process) discardLog() {
	if p.tempLog {
		os.Remove(p.logPath)
	}
}

func (p *process) waitFor(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// signal reaches the whole group; a group that is gone is not an error.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// reapTime is how long a child may take to exit after its pipe has closed; it includes the removal of a container.
func (p *process) reapTime() time.Duration {
	if p.box != nil {
		return 5 * time.Second
	}
	return 2 * time.Second
}

// exitFailure returns the failure of an unrequested exit.
func (p *process) exitFailure(name, doing string) *note.Failure {
	// The pipe closes a moment before the child is reaped.
	p.waitFor(p.reapTime())
	f := &note.Failure{Class: codes.ClassCrashed, LogTail: p.logTail()}
	how, because := "closed its protocol pipe", ""
	select {
	case <-p.exited:
		how = "exited normally"
		if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
			how = p.classifyExit(f, exit)
			because = p.notStarted(f)
		}
	default:
	}
	f.Message = fmt.Sprintf("%s engine %s while %s", name, how, doing)
	own := searchable(p.symptoms)
	if f.Class == codes.ClassOOMHost && killedItself(p.logPath, own) {
		f.Class, f.Next = codes.ClassCrashed, ""
	}
	if f.Class == codes.ClassCrashed {
		diagnose(f, p.logPath, own)
	}
	f.Message += because
	if f.Next == "" {
		f.Next = "the engine's last lines are in log_tail and in engine.log"
	}
	return f
}

// shellSignal is the number that shells add to the signal that ended their command.
const shellSignal = 128

// classifyExit reads the wait status and sets class and hint if they are clear.
func (p *process) classifyExit(f *note.Failure, exit *exec.ExitError) string {
	var sig syscall.Signal
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		sig = ws.Signal()
	} else if n := exit.ExitCode() - shellSignal; n == int(syscall.SIGKILL) || n == int(syscall.SIGILL) ||
		p.box != nil && n > 0 {
		sig = syscall.Signal(n) // the signal that ended the program behind a script or in a container
	} else if sig = goCrash(p.logPath, exit.ExitCode(), f); sig == 0 {
		return "exited with status " + strconv.Itoa(exit.ExitCode())
	}
	switch sig {
	case syscall.SIGKILL:
		f.Class = codes.ClassOOMHost
		f.Next = "another process killed it, usually the kernel for lack of memory (see `dmesg | tail`): " +
			"use a smaller model, dtype or batch size"
	case syscall.SIGILL:
		f.Class = codes.ClassIllegal
		f.Next = "this binary uses instructions that the CPU lacks: rebuild here with `make build`, or with PORTABLE=1"
	}
	return "was ended by signal " + sig.String()
}

// goCrashStatus is the exit status of a crashed Go program. Go's runtime catches the signals of faulty C code,
// prints them with the stacks, and exits.
const goCrashStatus = 2

// goCrash finds the signal in the log of a crashed Go program; it returns 0 if there is none. The log tail of the
// failure starts there, because the stacks after it can be long.
func goCrash(logPath string, status int, f *note.Failure) syscall.Signal {
	if status != goCrashStatus {
		return 0
	}
	text := "\n" + tail(logPath, 256<<10)
	for _, s := range []struct {
		sig  syscall.Signal
		mark string
	}{
		{syscall.SIGILL, "\nSIGILL: illegal instruction"},
		{syscall.SIGSEGV, "\nSIGSEGV: segmentation violation"},
		{syscall.SIGBUS, "\nSIGBUS: bus error"},
		{syscall.SIGFPE, "\nSIGFPE: floating-point exception"},
		{syscall.SIGABRT, "\nSIGABRT: abort"},
	} {
		if at := strings.LastIndex(text, s.mark); at >= 0 {
			rest := text[at+1:]
			f.LogTail = strings.ToValidUTF8(rest[:min(len(rest), logTailBytes)], "")
			return s.sig
		}
	}
	return 0
}

// logTailBytes bounds the end of the engine log that is kept with a failure.
const logTailBytes = 8 << 10

func (p *process) logTail() string { return tail(p.logPath, logTailBytes) }

// tail returns about the last n bytes of a file, beginning at the start of a line if there is one.
func tail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	from := max(0, size-n)
	b := make([]byte, size-from)
	read, _ := f.ReadAt(b, from)
	text := strings.TrimSpace(string(b[:read]))
	if from > 0 {
		if _, rest, ok := strings.Cut(text, "\n"); ok {
			text = rest
		}
	}
	return strings.ToValidUTF8(text, "�")
}

// withTimeout is context.WithTimeout without a limit for d <= 0.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// service returns where a client finds its service, and what sets it; empty means the default.
func service(client string) (where, host string) {
	if isPodman(client) {
		if name := os.Getenv("CONTAINER_CONNECTION"); name != "" {
			return "CONTAINER_CONNECTION", name // only podman knows its address
		}
		return "CONTAINER_HOST", os.Getenv("CONTAINER_HOST")
	}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return "DOCKER_HOST", host
	}
	out, err := runners.Ask(client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return "", "" // an old client has no contexts; any other fault shows in the next call
	}
	return "the host of docker's context", strings.TrimSpace(string(out))
}
