package backend

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/backend/internal/client"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/runners"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/internal/secret"
	"github.com/llenergymeasure/llem/note"
)

// A container is not a child of this process: it belongs to a service, or to its own monitor, and no descriptors
// are passed to it. Therefore
//
//   - commands and replies go through named pipes in a folder that both sides see;
//   - a shell inside opens them as descriptors 3 and 4, so that a worker is the same
//     program in a container and outside;
//   - that shell ends the container when this process is gone, which it sees by the end
//     of its standard input, or of a named pipe that only this process holds open;
//   - in every case the container is finally removed by its name.

// enclosure is one container, from before its start until its removal.
type enclosure struct {
	client, name string
	image        Image
	// dir holds the named pipes, and is the home folder of the engine.
	dir string
	// held keeps pipes open on this side until the engine has opened its ends. life and stdin stay open until the
	// container is gone.
	held        []*os.File
	life, stdin *os.File
	opening     sync.Once
	left        error // why the container could not be removed
}

const (
	pipeCommands = "commands"
	pipeReplies  = "replies"
	pipeLife     = "life"
	homeFolder   = "home"
)

// enclose looks for client and image, and creates the folder.
func enclose(c *Container) (*enclosure, error) {
	client, image, err := c.Find()
	if err != nil {
		return nil, err
	}
	dir, err := scratch.Dir("container")
	if err != nil {
		return nil, fmt.Errorf("make a folder to talk to a container: %w", err)
	}
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	e := &enclosure{client: client, image: image, dir: dir, name: fmt.Sprintf("llem-%d-%x", os.Getpid(), id)}
	err = os.Mkdir(filepath.Join(dir, homeFolder), 0o700)
	for _, pipe := range []string{pipeCommands, pipeReplies, pipeLife} {
		err = errors.Join(err, unix.Mkfifo(filepath.Join(dir, pipe), 0o600))
	}
	if err == nil {
		// Opening for both directions does not block.
		e.life, err = os.OpenFile(filepath.Join(dir, pipeLife), os.O_RDWR, 0)
	}
	if err != nil {
		e.discard()
		return nil, fmt.Errorf("make the pipes to talk to a container: %w", err)
	}
	return e, nil
}

// channel opens this side of the protocol's pipes. They are held open in both directions until opened is called,
// because a pipe without its other end looks like an engine that is gone.
func (e *enclosure) channel() (send, receive *os.File, err error) {
	for _, pipe := range []string{pipeCommands, pipeReplies} {
		held, openErr := os.OpenFile(filepath.Join(e.dir, pipe), os.O_RDWR, 0)
		if err = errors.Join(err, openErr); openErr == nil {
			e.held = append(e.held, held)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the pipes to a container: %w", err)
	}
	if send, err = os.OpenFile(filepath.Join(e.dir, pipeCommands), os.O_WRONLY, 0); err != nil {
		return nil, nil, fmt.Errorf("open the pipe to a container: %w", err)
	}
	if receive, err = os.OpenFile(filepath.Join(e.dir, pipeReplies), os.O_RDONLY, 0); err != nil {
		send.Close()
		return nil, nil, fmt.Errorf("open the pipe from a container: %w", err)
	}
	return send, receive, nil
}

// opened closes the ends that the engine now holds, or never will.
func (e *enclosure) opened() {
	if e == nil {
		return
	}
	e.opening.Do(func() {
		for _, f := range e.held {
			f.Close()
		}
	})
}

// The shell is the first process inside: when it ends, the kernel ends all others. A signal that it does not
// handle does not reach it; therefore the traps. llama.cpp's images keep their program in /app, which is not in
// PATH.
const (
	shimBegin = `dir=$1
shift
PATH=$PATH:/app
exec 6<&0
"$@" </dev/null 6<&- `
	shimPipes = `3<"$dir/commands" 4>"$dir/replies" `
	shimEnd   = `&
engine=$!
trap 'kill -TERM $engine 2>/dev/null' TERM
trap 'kill -KILL $engine 2>/dev/null; exit 129' HUP
(read x <&6; kill -HUP $$) &
a=$!
(read x <"$dir/life"; kill -HUP $$) 6<&- &
b=$!
exec 6<&-
while wait $engine; status=$?; kill -0 $engine 2>/dev/null; do :; done
kill -KILL $a $b 2>/dev/null
exit $status`
)

func shim(pipes bool) string {
	if pipes {
		return shimBegin + shimPipes + shimEnd
	}
	return shimBegin + shimEnd
}

// start starts the client, whose standard input ends with this process.
func (e *enclosure) start(cmd Command, logPath string, pipes bool) (*process, error) {
	in, keep, err := os.Pipe()
	if err != nil {
		e.discard()
		return nil, fmt.Errorf("pipe for a container: %w", err)
	}
	defer in.Close()
	e.stdin = keep
	c := e.command(cmd, pipes)
	c.Stdin = in
	p, err := start(c, logPath, e, cmd.Symptoms)
	if err != nil {
		e.discard()
	}
	return p, err
}

// command returns the client's command line for cmd in the container.
func (e *enclosure) command(cmd Command, pipes bool) *exec.Cmd {
	c := cmd.Container
	args := []string{"run", "--rm", "--interactive", "--name", e.name, "--label", "llem=1", "--label",
		"llem.pid=" + strconv.Itoa(os.Getpid()),
		"--pull=never", "--network=host", "--ipc=host", "--log-driver=none", "--security-opt", "label=disable",
		"--no-healthcheck"} // the image's own health check would run during a measurement
	args = append(args, e.user()...)
	args = append(args, client.Processors()...)
	seen := client.Visible(c.GPUs, os.Environ())
	args = append(args, client.GPUs(e.podman(), seen)...)
	args = append(args, "--mount", client.Mount(e.dir, false))
	for _, dir := range c.Folders {
		args = append(args, "--mount", client.Mount(dir, true))
	}
	// The image has no name for the user's id; libraries that look it up need one.
	env := slices.Concat(secret.PassedOn(os.Environ()),
		[]string{"HOME=" + filepath.Join(e.dir, homeFolder), "USER=llem", "LOGNAME=llem"}, cmd.Env,
		client.GPUVariables(seen))
	for _, kv := range client.LastOf(env) {
		args = append(args, "--env", kv)
	}
	args = append(args, "--entrypoint", "sh", e.image.ID, "-c", shim(pipes), "llem", e.dir, cmd.Path)
	return exec.Command(e.client, append(args, cmd.Args...)...)
}

func (e *enclosure) podman() bool { return isPodman(e.client) }

func isPodman(client string) bool { return strings.HasPrefix(filepath.Base(client), "podman") }

// pid returns the container's first process as this machine numbers it; 0 if unknown. All processes of the engine
// are in its process group.
func (e *enclosure) pid() int {
	pid, _ := e.number()
	return pid
}

// number returns pid, and whether the client reports a number at all. If llem itself runs in a container, a
// service uses other numbers: the shell is then found by its folder.
func (e *enclosure) number() (pid int, known bool) {
	out, err := runners.Ask(e.client, "inspect", "--format", "{{.State.Pid}}", e.name)
	if err != nil {
		return 0, false
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(out))); err != nil || pid <= 0 {
		return 0, false
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || !bytes.Contains(line, []byte(e.dir)) {
		return 0, true
	}
	return pid, true
}

// numberedWithin bounds the wait for the process id of a container whose engine has answered.
const numberedWithin = 5 * time.Second

// answered returns the first process of an engine that has answered; 0 if unknown. An engine may answer before its
// client has recorded the process id of the container it has just started.
func (p *process) answered() int {
	if p.box == nil {
		return p.cmd.Process.Pid
	}
	for end := time.Now().Add(numberedWithin); ; {
		pid, known := p.box.number()
		if known || time.Now().After(end) || p.waitFor(50*time.Millisecond) {
			return pid
		}
	}
}

// remove ends the container, if it is still there, and removes everything created for it.
func (e *enclosure) remove() {
	_, err := runners.Ask(e.client, "rm", "--force", e.name)
	if err != nil && !gone(err.Error()) {
		e.left = &note.Failure{Class: codes.ClassHung, Message: "the container " + e.name + " could not be removed",
			Err:  err,
			Next: fmt.Sprintf("`%s rm -f %s`: until then it may use the GPU", e.client, e.name)}
	}
	e.discard()
}

// gone reports whether the client's message means that the container is removed or being removed.
func gone(text string) bool {
	low := strings.ToLower(text)
	return strings.Contains(low, "no such container") || strings.Contains(low, "no container with name") ||
		strings.Contains(low, "already in progress")
}

// madeWithin bounds the wait for a client that creates a container which is no longer needed: it starts it, and
// the shell inside then sees that its other side is gone.
const madeWithin = 5 * time.Second

// hangUp closes this side's ends, which ends the readers on the other side.
func (e *enclosure) hangUp() {
	for _, f := range []*os.File{e.life, e.stdin} {
		if f != nil {
			f.Close()
		}
	}
}

// discard hangs up and removes the folder.
func (e *enclosure) discard() {
	e.opened()
	e.hangUp()
	if err := os.RemoveAll(e.dir); err != nil && !errors.Is(err, fs.ErrNotExist) && e.left == nil {
		e.left = fmt.Errorf("remove what a container left: %w", err)
	}
}

// image returns the container image of a process; nil outside of containers.
func (p *process) image() *Image {
	if p.box == nil {
		return nil
	}
	return &p.box.image
}

// leftover returns what could not be cleaned up after a process that is gone.
func (p *process) leftover() error {
	if p.box == nil {
		return nil
	}
	return p.box.left
}

// notStarted completes the failure of a container that has exited without running its engine, and returns the
// reason.
func (p *process) notStarted(f *note.Failure) (because string) {
	if p.box == nil {
		return ""
	}
	why := notStarted(p.err, tail(p.logPath, logTailBytes))
	if why == nil {
		return ""
	}
	f.Class, f.Next = why.Class, why.Next
	return ": " + why.Message
}

// notStarted returns the failure of a client whose container never ran its program, from the client's output; nil
// for any other exit.
func notStarted(err error, text string) *note.Failure {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return nil
	}
	// The statuses are: the client's own failure, a program that cannot be run, a program that is missing.
	if code := exit.ExitCode(); code < 125 || code > 127 {
		return nil
	}
	return runners.Failure(text)
}

// user makes this user the owner of the engine's files. Inside, user and group ids equal those outside: a model
// may be shared by its group.
func (e *enclosure) user() []string {
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil
	}
	return client.UserArgs(e.podman(), os.Getuid(), os.Getgid(), groups)
}
