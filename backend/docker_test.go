package backend_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/backend"
)

// The test binary also acts as docker: its containers are sessions of processes without a parent, as containers of
// the real service are. Two variables set its behaviour and the folder with the list of its containers.
const (
	dockerEnv   = "LLEM_TEST_DOCKER"
	dockerState = "LLEM_TEST_DOCKER_STATE"
)

const (
	testImage  = "llem-test"
	testID     = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	testDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// box is a container of the fake docker with this test binary as its program.
func box() *backend.Container {
	return &backend.Container{Image: testImage, Program: self("").Path}
}

// fakeDocker puts the fake into PATH and returns the folder of its containers.
func fakeDocker(t *testing.T, names ...string) string {
	t.Helper()
	bin, state := t.TempDir(), t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' %s=docker exec '%s' \"$@\"\n", dockerState, state, workerEnv,
		self("").Path)
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "sleep"} {
		path, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(path, filepath.Join(bin, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin) // a real client must not be found
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("CONTAINER_HOST", "")
	t.Setenv("CONTAINER_CONNECTION", "")
	t.Setenv(dockerEnv, "well")
	t.Setenv(dockerState, state)
	return state
}

// dockerOf returns a fake with the given behaviour for one test, and the folder of its containers.
func dockerOf(t *testing.T, mode string) (client, state string) {
	t.Helper()
	client, state = filepath.Join(t.TempDir(), "docker"), t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=docker %s='%s' %s='%s' exec '%s' \"$@\"\n", workerEnv, dockerEnv, mode,
		dockerState, state, self("").Path)
	if err := os.WriteFile(client, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return client, state
}

func dockerMain(args []string) int {
	mode := os.Getenv(dockerEnv)
	say := func(code int, format string, a ...any) int {
		fmt.Fprintf(os.Stderr, format+"\n", a...)
		return code
	}
	state := func(name string) string { return filepath.Join(os.Getenv(dockerState), name) }
	last := args[len(args)-1]
	switch mode {
	case "daemon down":
		return say(1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker "+
			"daemon running?")
	case "not allowed":
		return say(1, "permission denied while trying to connect to the Docker daemon socket at "+
			"unix:///var/run/docker.sock")
	case "odd":
		return say(1, "segmentation fault")
	}
	switch args[0] {
	case "version":
		fmt.Println("28.5.1")
		return 0
	case "context":
		if mode == "other context" {
			fmt.Println("ssh://gpu7")
		} else {
			fmt.Println("unix:///var/run/docker.sock")
		}
		return 0
	case "info":
		fmt.Println(`{"io.containerd.runc.v2":{"path":"runc"},"nvidia":{"path":"nvidia-container-runtime"},` +
			`"runc":{"path":"runc"}}`)
		return 0
	case "images":
		fmt.Println("llem-pytorch:latest\ndocker.io/vllm/vllm-openai:v0.11.0\nlocalhost/llem-embedded:latest")
		return 0
	case "image":
		switch {
		case last != testImage:
			return say(1, "Error response from daemon: no such image: %s: No such image: %s:latest", last, last)
		}
		fmt.Printf(`[{"Id":%q,"RepoDigests":["example.org/llem-test@%s"]}]`+"\n", testID, testDigest)
		return 0
	case "inspect":
		pid, err := os.ReadFile(state(last))
		if err != nil {
			return say(1, "Error: No such object: %s", last)
		}
		if mode == "other numbers" {
			pid = []byte("1")
		}
		fmt.Println(string(pid))
		return 0
	case "rm":
		pid, err := os.ReadFile(state(last))
		switch {
		case err != nil:
			return say(1, "Error: No such container: %s", last)
		case mode == "keeps":
			return say(1, "Error response from daemon: container %s: driver \"overlay2\" failed to remove root "+
				"filesystem: device or resource busy", last)
		}
		n, _ := strconv.Atoi(string(pid))
		end(n)
		os.Remove(state(last))
		return 0
	case "run":
		return dockerRun(mode, args[1:], state, say)
	}
	return say(1, "docker: %q is not a docker command.", args[0])
}

func dockerRun(mode string, args []string, state func(string) string, say func(int, string, ...any) int) int {
	if err := os.WriteFile(state("arguments"), []byte(strings.Join(args, "\n")), 0o600); err != nil {
		return say(125, "%v", err)
	}
	switch mode {
	case "no gpu":
		return say(125, `docker: Error response from daemon: could not select device driver "" with capabilities: `+
			`[[gpu]].`)
	case "old driver":
		return say(125, "docker: Error response from daemon: failed to create task for container: "+
			"nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your driver")
	case "dies":
		return say(125, "docker: unexpected EOF")
	}
	name, entry, env := "", "", []string{"PATH=" + os.Getenv("PATH")}
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		switch args[0] {
		case "--rm", "--interactive", "--no-healthcheck":
			args = args[1:]
			continue
		case "--name":
			name = args[1]
		case "--env":
			env = append(env, args[1])
		case "--entrypoint":
			entry = args[1]
		}
		if strings.Contains(args[0], "=") {
			args = args[1:]
		} else {
			args = args[2:]
		}
	}
	if args[0] != testID {
		return say(125, "Unable to find image '%s' locally", args[0])
	}
	if mode == "slow" { // the service creates the container, whether or not the client lives
		service := exec.Command("sh", "-c", `sleep 0.5; echo 0 > "$1"`, "sh", state(name))
		service.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := service.Start(); err != nil || service.Wait() != nil {
			return say(125, "docker: no service")
		}
	}
	c := exec.Command(entry, args[1:]...)
	c.Env, c.Stdout, c.Stderr = env, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not a child of the client
	stdin, err := c.StdinPipe()                        // ends with the client, and with the client's input
	if err != nil {
		return say(125, "%v", err)
	}
	go func() {
		_, _ = io.Copy(stdin, os.Stdin)
		_ = stdin.Close()
	}()
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // its orphans are reaped here
	if err := c.Start(); err != nil {
		return say(125, "docker: %v", err)
	}
	if mode == "late" { // the engine answers before the service has recorded it
		time.Sleep(500 * time.Millisecond)
	}
	if err := os.WriteFile(state(name), []byte(strconv.Itoa(c.Process.Pid)), 0o600); err != nil {
		return say(125, "%v", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		for range signals {
			if mode != "deaf" {
				_ = c.Process.Signal(syscall.SIGTERM)
			}
		}
	}()
	err = c.Wait()
	end(c.Process.Pid) // like the end of a first process
	if mode != "keeps" {
		os.Remove(state(name))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	}
	return 0
}

// end kills a group and waits until its orphans have been reaped.
func end(group int) {
	for range 500 {
		if syscall.Kill(-group, syscall.SIGKILL) != nil {
			return
		}
		_, _ = syscall.Wait4(-group, nil, syscall.WNOHANG, nil)
		time.Sleep(20 * time.Millisecond)
	}
}

// empty checks that a folder holds nothing but the named entries.
func empty(t *testing.T, what, dir string, but ...string) {
	t.Helper()
	var left []string
	for range 250 {
		left = nil
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !slices.Contains(but, e.Name()) {
				left = append(left, e.Name())
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%s left: %q", what, left)
}
