package backend_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/enginefake"
)

// boxed starts this test binary as a worker in a container of the fake docker.
type boxed struct{ testBackend }

func (b boxed) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	spec.Container = box()
	return b.testBackend.Start(ctx, spec)
}

// TestContainerConformance: a worker in a container behaves and ends like one outside.
func TestContainerConformance(t *testing.T) {
	state, tmp := fakeDocker(t, "docker"), os.Getenv("TMPDIR")
	t.Cleanup(func() {
		empty(t, "containers", state, "arguments")
		empty(t, "temporary files", tmp)
	})
	backendtest.Run(t, backendtest.Suite{
		Backend:  boxed{testBackend{mode: "fake", opt: patient}},
		Noisy:    boxed{testBackend{mode: "noisy", opt: patient}},
		Spec:     backend.Spec{Model: "fake", DType: "float32"},
		Tokens:   enginefake.FakeTokens,
		Template: enginefake.FakeTemplate,

		Parallel: true,
	})
}

func TestContainerImage(t *testing.T) {
	fakeDocker(t, "docker")
	s, err := boxed{testBackend{"fake", impatient}}.Start(t.Context(), backend.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := &backend.Image{Name: testImage, ID: testID, Digest: testDigest}
	if diff := cmp.Diff(want, s.Loaded().Image); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	if !s.Loaded().SharedClock {
		t.Error("no shared clock")
	}
	if len(backendtest.Live(t, s.Loaded().PID)) == 0 {
		t.Errorf("process %d is not the container's first", s.Loaded().PID)
	}
}

// TestContainerNumberedLate: an engine that answers before its client knows the container's process id still gets
// that id.
func TestContainerNumberedLate(t *testing.T) {
	c := box()
	c.Client, _ = dockerOf(t, "late")
	t.Parallel()
	s, err := testBackend{"fake", patient}.Start(t.Context(), backend.Spec{Container: c})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if pid := s.Loaded().PID; pid <= 0 || len(backendtest.Live(t, pid)) == 0 {
		t.Errorf("the engine is process %d", pid)
	}
}

// TestContainerNumberedOtherwise: an id that belongs to another process on this side is rejected; otherwise that
// process would be watched and ended.
func TestContainerNumberedOtherwise(t *testing.T) {
	state := fakeDocker(t, "docker")
	t.Setenv(dockerEnv, "other numbers")
	s, err := boxed{testBackend{"fake", impatient}}.Start(t.Context(), backend.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	if pid := s.Loaded().PID; pid != 0 {
		t.Errorf("the engine is process %d", pid)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	empty(t, "containers", state, "arguments")
}

// TestContainerFailures: whatever prevents a container from running has a class and a next step.
func TestContainerFailures(t *testing.T) {
	slow := backend.WorkerOptions{HelloTimeout: 2 * time.Second, // a container, a shell and the worker start within it
		StopTimeout: 50 * time.Millisecond}
	tests := []struct {
		docker, worker, image string
		opt                   backend.WorkerOptions
		want                  failure
	}{
		{"daemon down", "fake", testImage, impatient,
			failure{codes.ClassNotInstalled, "cannot be reached", "systemctl start docker", ""}},
		{"not allowed", "fake", testImage, impatient,
			failure{codes.ClassNotInstalled, "no permission to use", "usermod -aG docker", ""}},
		{"odd", "fake", testImage, impatient,
			failure{codes.ClassNotInstalled, "ask for the image llem-test", "by hand", ""}},
		{"well", "fake", "example.org/absent:1", impatient,
			failure{codes.ClassImage, "no image example.org/absent:1", "docker pull example.org/absent:1",
				"No such image"}},
		{"well", "fake", "llem-pytorch", impatient,
			failure{codes.ClassImage, "no image llem-pytorch",
				"docker build -t llem-pytorch -f docker/pytorch.Dockerfile .", ""}},
		{"well", "fake", "llem-mine", impatient,
			failure{codes.ClassImage, "no image llem-mine", "docker pull llem-mine", ""}},
		{"no gpu", "fake", testImage, impatient,
			failure{codes.ClassNoDevice, "containers cannot use the GPUs", "nvidia-container-toolkit", ""}},
		{"old driver", "fake", testImage, impatient,
			failure{codes.ClassVersion, "cuda>=12.8", "update the driver", ""}},
		{"dies", "fake", testImage, impatient,
			failure{codes.ClassCrashed, "exited with status 125 while starting", "log_tail", "unexpected EOF"}},
		{"well", "other clock", testImage, impatient,
			failure{codes.ClassClock, "another CLOCK_MONOTONIC", "own kernel", ""}},
		{"well", "silent", testImage, slow,
			failure{codes.ClassStartTimeout, "did not answer within 2s", "engine.log", "importing torch"}},
		{"deaf", "silent", testImage, slow,
			failure{codes.ClassStartTimeout, "did not answer within 2s", "engine.log", ""}},
		{"well", "exits", testImage, impatient,
			failure{codes.ClassVersion, "exited with status 1 while starting: ModuleNotFoundError",
				"separate environment",
				""}},
		{"well", "aborts", testImage, impatient,
			failure{codes.ClassCrashed, "was ended by signal aborted", "log_tail", "ggml: assertion failed"}},
		{"well", "closes its pipe", testImage, impatient,
			failure{codes.ClassCrashed, "closed its protocol pipe while loading", "log_tail", ""}},
	}
	fakeDocker(t, "docker")
	tmp := os.Getenv("TMPDIR")
	t.Cleanup(func() {
		for _, pattern := range []string{"llem-container-*", "llem-engine-*"} {
			if left, _ := filepath.Glob(filepath.Join(tmp, pattern)); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		}
	})
	for _, test := range tests {
		t.Run(test.docker+"/"+test.worker, func(t *testing.T) {
			c, state := box(), ""
			c.Client, state = dockerOf(t, test.docker)
			if c.Image = test.image; test.image == "llem-pytorch" {
				c.Recipe = "docker/pytorch.Dockerfile"
			}
			t.Parallel() // not earlier: a script that is written while another test forks is busy
			began := time.Now()
			s, err := testBackend{test.worker, test.opt}.Start(t.Context(), backend.Spec{Container: c})
			if err == nil {
				s.Close()
			}
			test.want.check(t, err)
			if took := time.Since(began); took > promptly {
				t.Errorf("took %v", took)
			}
			empty(t, "containers", state, "arguments")
		})
	}
}

func TestContainerWithoutClient(t *testing.T) {
	fakeDocker(t) // leaves no client in PATH
	t.Setenv("PATH", t.TempDir())
	_, err := boxed{testBackend{"fake", impatient}}.Start(t.Context(), backend.Spec{})
	failure{codes.ClassNotInstalled, "no docker and no podman in PATH", "podman", ""}.check(t, err)
	c := box()
	c.Client = "nerdctl"
	_, err = testBackend{"fake", impatient}.Start(t.Context(), backend.Spec{Container: c})
	failure{codes.ClassNotInstalled, "no nerdctl in PATH", "", ""}.check(t, err)
}

func TestContainerOfAnotherMachine(t *testing.T) {
	for _, test := range []struct{ client, mode, variable, says string }{
		{"docker", "well", "DOCKER_HOST", "DOCKER_HOST is ssh://gpu7"},
		{"podman", "well", "CONTAINER_HOST", "CONTAINER_HOST is ssh://gpu7"},
		{"podman", "well", "CONTAINER_CONNECTION", "CONTAINER_CONNECTION is ssh://gpu7"},
		{"docker", "other context", "", "docker's context is ssh://gpu7"},
	} {
		t.Run(test.client+" "+test.mode+" "+test.variable, func(t *testing.T) {
			fakeDocker(t, test.client)
			t.Setenv(dockerEnv, test.mode)
			if test.variable != "" {
				t.Setenv(test.variable, "ssh://gpu7")
			}
			_, err := boxed{testBackend{"fake", impatient}}.Start(t.Context(), backend.Spec{})
			failure{codes.ClassConfig, test.says, "on that machine", ""}.check(t, err)
		})
	}
}

// TestContainerThatStays: a container that cannot be removed is reported, because it may hold the GPU.
func TestContainerThatStays(t *testing.T) {
	fakeDocker(t, "docker")
	t.Setenv(dockerEnv, "keeps")
	s, err := boxed{testBackend{"fake", impatient}}.Start(t.Context(), backend.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	failure{codes.ClassHung, "could not be removed", "docker rm -f llem-", ""}.check(t, s.Close())
}

// TestContainerThatDoesNotStop: a container that ignores the stop request is ended by its name.
func TestContainerThatDoesNotStop(t *testing.T) {
	state := fakeDocker(t, "docker")
	t.Setenv(dockerEnv, "deaf")
	s, err := boxed{testBackend{"stubborn", impatient}}.Start(t.Context(), backend.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	pid := s.Loaded().PID
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkGone(t, pid)
	empty(t, "containers", state, "arguments")
}

// TestContainerParentDeath: a killed llem leaves no container, although nobody requests its end: the shell inside
// notices that its other side is gone, whatever the engine does.
func TestContainerParentDeath(t *testing.T) {
	for _, kind := range []string{"fake", "deaf"} {
		t.Run(kind, func(t *testing.T) {
			fakeDocker(t, "docker")
			command := self("parent")
			parent := exec.Command(command.Path, kind)
			parent.Env = append(os.Environ(), command.Env...)
			parent.Stderr = os.Stderr
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			pid, convErr := strconv.Atoi(strings.TrimSpace(line))
			if len(backendtest.Live(t, pid)) == 0 {
				t.Errorf("nothing runs in the group %d", pid)
			}
			_ = parent.Process.Kill()
			_ = parent.Wait()
			if err != nil || convErr != nil {
				t.Fatalf("the parent printed %q (%v)", line, err)
			}
			checkGone(t, pid)
			for range 500 { // the guardian does this
				if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "llem-container-*")); len(left) == 0 {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Error("the folder of the container's pipes is left")
		})
	}
}

// TestContainerOfServer: a server has no protocol pipes; its container ends in the same way.
func TestContainerOfServer(t *testing.T) {
	state := fakeDocker(t, "docker")
	log := filepath.Join(t.TempDir(), "engine.log")
	c := backend.Command{Path: "/bin/sleep", Args: []string{"3600"}}
	inside := box()
	inside.Program = "/bin/sleep"
	child, err := backend.StartChild(c.Within(backend.Spec{Container: inside}), log)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if child.PID() > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	pid := child.PID()
	if pid == 0 || child.Image().ID != testID {
		t.Errorf("process %d of image %v", pid, child.Image())
	}
	child.Stop(5 * time.Second)
	checkGone(t, pid)
	empty(t, "containers", state, "arguments")
}

// arguments returns the arguments of the last container that the fake started.
func arguments(t *testing.T, state string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(state, "arguments"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// follows reports whether an argument has a value.
func follows(args []string, flag, value string) bool {
	for i := range len(args) - 1 {
		if args[i] == flag && args[i+1] == value {
			return true
		}
	}
	return false
}

func TestContainerCommandLine(t *testing.T) {
	user := strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid())
	// docker splits at commas
	draft, blobs, snapshot := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "snap,shot")
	if err := errors.Join(os.Mkdir(snapshot, 0o700), os.WriteFile(filepath.Join(blobs, "b1"), nil, 0o600),
		os.Symlink(filepath.Join(blobs, "b1"), filepath.Join(snapshot, "config.json"))); err != nil {
		t.Fatal(err)
	}
	mounts := []string{"--mount", `type=bind,"source=` + snapshot + `","target=` + snapshot + `",readonly`, "--mount",
		"type=bind,source=" + blobs + ",target=" + blobs + ",readonly",
		"--mount", "type=bind,source=" + draft + ",target=" + draft + ",readonly"}
	common := append([]string{"--network=host", "", "--no-healthcheck", "", "--ipc=host", "", "--pull=never", "",
		"--user", user, "--label", "llem=1", "--env", "NCCL_DEBUG=INFO", "--env", "LOGNAME=llem"}, mounts...)
	tests := []struct {
		client string
		gpus   []string
		want   []string
	}{
		{"docker", []string{"GPU-a", "GPU-b"},
			[]string{"--gpus", `"device=GPU-a,GPU-b"`, "--env", "CUDA_VISIBLE_DEVICES=GPU-a,GPU-b", "--userns=host",
				""}},
		{"docker", []string{"all"}, []string{"--gpus", "all", "--env", "CUDA_VISIBLE_DEVICES=1"}},
		{"podman", []string{"GPU-a", "GPU-b"},
			[]string{"--device", "nvidia.com/gpu=GPU-a", "--device", "nvidia.com/gpu=GPU-b"}},
		{"podman", []string{"all"}, []string{"--device", "nvidia.com/gpu=all"}},
	}
	for _, test := range tests {
		t.Run(test.client+" "+test.gpus[0], func(t *testing.T) {
			state := fakeDocker(t, test.client)
			for k, v := range map[string]string{"NCCL_DEBUG": "INFO", "CUDA_VISIBLE_DEVICES": "1",
				"CUDA_HOME": "/usr/local/cuda", "HF_TOKEN": "hf_secret"} {
				t.Setenv(k, v)
			}
			c := box()
			c.GPUs = test.gpus
			options := []byte(`{"draft":"` + draft + `","same":"` + snapshot + `","n":8,"name":"/absent/model"}`)
			s, err := testBackend{"fake", impatient}.Start(t.Context(),
				backend.Spec{Path: snapshot, Options: options, Container: c})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			args := arguments(t, state)
			for want := range slices.Chunk(append(slices.Clone(common), test.want...), 2) {
				if want[1] == "" && !slices.Contains(args, want[0]) ||
					want[1] != "" && !follows(args, want[0], want[1]) {
					t.Errorf("no %q in %q", want, args)
				}
			}
			if n := strings.Count(strings.Join(args, "\n"), `target=`+snapshot); n != 1 {
				t.Errorf("the model's folder is mounted %d times", n)
			}
			for _, a := range args {
				if strings.Contains(a, "absent") || strings.Contains(a, "hf_secret") ||
					strings.Contains(a, "CUDA_HOME") {
					t.Errorf("%q is passed on", a)
				}
			}
		})
	}
}

// TestContainerKilledEngine: a signal that ends the first process counts as the end of the engine.
func TestContainerKilledEngine(t *testing.T) {
	fakeDocker(t, "docker")
	s, err := boxed{testBackend{"ignores cancel", impatient}}.Start(t.Context(), backend.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	time.AfterFunc(200*time.Millisecond, func() {
		for _, line := range backendtest.Live(t, s.Loaded().PID) { // the engine does not lead the group
			if strings.Contains(line, "(backend.test)") {
				n, _ := strconv.Atoi(line[:strings.IndexByte(line, ' ')])
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
	})
	_, err = s.Run(t.Context(), work(1, 1))
	failure{codes.ClassOOMHost, "was ended by signal killed while running", "memory", ""}.check(t, err)
}

// TestContainerEndedEarly: a container that is ended before its service has created it is not left behind.
func TestContainerEndedEarly(t *testing.T) {
	inside := box()
	inside.Program = "sleep"
	c := backend.Command{Args: []string{"3600"}}.Within(backend.Spec{Container: inside})
	for name, end := range map[string]func(t *testing.T){
		"question": func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, _, err := c.Output(ctx); err == nil {
				t.Error("an answer of sleep")
			}
		},
		"engine": func(t *testing.T) {
			child, err := backend.StartChild(c, filepath.Join(t.TempDir(), "engine.log"))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
			child.Stop(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := fakeDocker(t, "docker")
			t.Setenv(dockerEnv, "slow")
			end(t)
			time.Sleep(500 * time.Millisecond) // until the service has created it
			empty(t, "containers", state, "arguments")
		})
	}
}

// TestContainerOutput runs a short command on a program of the image.
func TestContainerOutput(t *testing.T) {
	state := fakeDocker(t, "docker")
	inside := box()
	inside.Program = "sh"
	c := backend.Command{Args: []string{"-c"}}.Within(backend.Spec{Container: inside})
	out, said, err := c.Output(t.Context(), "echo 1.2.3; echo noise >&2")
	if string(out) != "1.2.3\n" || string(said) != "noise\n" || err != nil {
		t.Errorf("output %q, noise %q, error %v", out, said, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := c.Output(ctx, "sleep 3600"); err == nil || time.Since(began) > promptly {
		t.Errorf("a question without an answer ended with %v after %v", err, time.Since(began))
	}
	inside.Program = "absent"
	_, _, err = backend.Command{}.Within(backend.Spec{Container: inside}).Output(t.Context())
	failure{codes.ClassNotInstalled, "lacks a required program", "container.program", ""}.check(t, err)
	empty(t, "containers", state, "arguments")
	empty(t, "temporary files", os.Getenv("TMPDIR"))
}
