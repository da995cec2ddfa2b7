package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/note"
)

// Container is the image in which an engine runs, in place of a process of this
// machine's own files. It is started through the command line of docker or podman. The
// kernel is this machine's, and so are the clock, the sensors and the loopback address.
type Container struct {
	// Client is docker, podman or a path; empty takes the first of the two in PATH.
	Client string
	// Image by name. It must be on this machine: nothing is downloaded.
	Image string
	// Recipe is the Dockerfile in llem's source folder that builds the image; empty: it is pulled.
	Recipe string
	// Program of the image that is started in place of the command's own.
	Program string
	// Folders of this machine that are seen inside, read-only, at the same path.
	Folders []string
	// GPUs that may be seen inside, by UUID, or "all"; empty is none.
	GPUs []string
}

// Image is what an engine's files came from.
type Image struct {
	// Name is the image's name and tag.
	Name string
	// ID is the digest of the image's configuration, Digest that under which a registry
	// has it; one that was built here has none.
	ID, Digest string
}

// Within is the command as it runs for spec: with the spec's symptoms, and in its container,
// if it has one.
func (c Command) Within(spec Spec) Command {
	c.Symptoms = slices.Concat(c.Symptoms, spec.Symptoms)
	if spec.Container == nil {
		return c
	}
	box := *spec.Container
	box.Folders = once(slices.Concat(box.Folders, c.Folders, foldersOf(spec.Path), foldersIn(spec.Options)))
	c.Container, c.Path = &box, box.Program
	return c
}

// foldersOf are the folders that hold a model: its own, and those that links in it lead
// to. The cache of Hugging Face keeps the files of all revisions in one folder.
func foldersOf(path string) []string {
	if path == "" {
		return nil
	}
	var out []string
	add := func(dir string) {
		if !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil // the engine says what is wrong with it
	}
	entries := []string{path}
	if info.IsDir() {
		add(path)
		entries, _ = filepath.Glob(filepath.Join(path, "*"))
	} else {
		add(filepath.Dir(path))
	}
	for _, e := range entries {
		if file, err := filepath.EvalSymlinks(e); err == nil && filepath.Dir(file) != filepath.Dir(e) {
			add(filepath.Dir(file))
		}
	}
	return out
}

// foldersIn are those of the paths among an engine's settings, such as a second model.
func foldersIn(options json.RawMessage) []string {
	var section map[string]any
	if json.Unmarshal(options, &section) != nil {
		return nil // none, or none that the engine could read
	}
	var out []string
	for _, v := range section {
		if path, ok := v.(string); ok && filepath.IsAbs(path) && filepath.Dir(path) != path {
			out = append(out, foldersOf(path)...)
		}
	}
	return out
}

// once leaves out what is there already: clients refuse to mount a folder twice.
func once(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// findClient finds the program that starts containers: name, or the first of docker and
// podman in PATH.
func findClient(name string) (string, error) {
	names := []string{name}
	if name == "" {
		names = []string{"docker", "podman"}
	}
	for _, n := range names {
		if _, err := exec.LookPath(n); err == nil {
			return n, nil
		}
	}
	return "", note.Failf(codes.ClassNotInstalled,
		"install one of them (Debian: `apt-get install podman`), or leave out runner: container",
		"there is no %s in PATH", strings.Join(names, " and no "))
}

// askTimeout bounds a question to the container's client. One that is asked for the
// first time may have to start its service.
const askTimeout = 20 * time.Second

// mostOfClient bounds what it prints: a description of a container may be long.
const mostOfClient = 16 << 20

// askClient runs a short command of the client. What it prints to standard error is in
// the error.
func askClient(client string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, client, args...)
	c.WaitDelay = time.Second
	out, said, err := printed.Output(c, mostOfClient, cancel)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, note.Failf(codes.ClassNotInstalled, "see whether its service runs: `systemctl status docker`",
			"`%s %s` does not answer within %v", client, args[0], askTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", client, args[0], err, bytes.TrimSpace(said))
	}
	return out, nil
}

// Find looks for the program that starts containers, and for the image. Nothing is started.
func (c *Container) Find() (client string, image Image, err error) {
	if client, err = findClient(c.Client); err != nil {
		return "", Image{}, err
	}
	image, err = c.find(client)
	return client, image, err
}

// find asks the client for the image.
func (c *Container) find(client string) (Image, error) {
	if where, host := service(client); host != "" && !strings.HasPrefix(host, "unix://") {
		return Image{}, note.Failf(codes.ClassConfig, "change that, or run llem on that machine",
			"%s is %s: an engine on another machine is not what the sensors of this one see", where, host)
	}
	out, err := askClient(client, "image", "inspect", c.Image)
	if err != nil {
		return Image{}, c.refused(client, err)
	}
	found, ok := describedImage(out)
	if !ok {
		return Image{}, note.Failf(codes.ClassEngine, "try `"+client+" image inspect "+c.Image+"`",
			"%s does not describe the image %s", client, c.Image)
	}
	found.Name = c.Image
	return found, nil
}

// describedImage reads what docker and podman say of an image.
func describedImage(text []byte) (Image, bool) {
	var got []struct {
		ID          string `json:"Id"`
		RepoDigests []string
	}
	if err := json.Unmarshal(text, &got); err != nil || len(got) != 1 || got[0].ID == "" {
		return Image{}, false
	}
	const sha = "sha256:" // which podman leaves out
	image := Image{ID: sha + strings.TrimPrefix(got[0].ID, sha)}
	for _, d := range got[0].RepoDigests {
		// where podman keeps what is built here
		if repo, digest, ok := strings.Cut(d, "@"); ok && !strings.HasPrefix(repo, "localhost/") {
			image.Digest = digest
			break
		}
	}
	return image, true
}

// refused explains a client that does not describe an image.
func (c *Container) refused(client string, err error) error {
	if f, ok := errors.AsType[*note.Failure](err); ok {
		return f
	}
	f := containerFailure(err.Error())
	if f == nil {
		return &note.Failure{Class: codes.ClassNotInstalled, Message: "ask for the image " + c.Image, Err: err,
			Next: "try the command by hand"}
	}
	if f.Class != codes.ClassImage {
		return f
	}
	hint := fmt.Sprintf("fetch it with `%s`", GetImage(client, c.Image, c.Recipe))
	if c.Recipe != "" {
		hint = fmt.Sprintf("build it in llem's source folder: `%s`", GetImage(client, c.Image, c.Recipe))
	}
	return &note.Failure{Class: codes.ClassImage, Message: "there is no image " + c.Image + " on this machine",
		Next:    hint,
		LogTail: err.Error()}
}

// GetImage is the command that puts an image on this machine; recipe is the Dockerfile in
// llem's source folder that builds it, or empty.
func GetImage(client, image, recipe string) string {
	if recipe != "" {
		return fmt.Sprintf("%s build -t %s -f %s .", client, image, recipe)
	}
	return client + " pull " + image
}

// trouble is what clients, and what they call, print when a container does not start.
var trouble = []struct {
	class note.Class
	what  string
	hint  string
	texts []string
}{
	{codes.ClassNotInstalled, "you may not use the container service",
		"`sudo usermod -aG docker $USER` and log in again, or use podman, which needs no service " +
			"(container.client: podman)",
		[]string{"permission denied while trying to connect",
			"dial unix /var/run/docker.sock: connect: permission denied"}},
	{codes.ClassNotInstalled, "the container service cannot be reached", "start it: `sudo systemctl start docker`",
		[]string{"cannot connect to the docker daemon", "failed to connect to the docker api", "error during connect",
			"cannot connect to podman"}},
	{codes.ClassImage, "the image is not on this machine", "fetch or build it",
		[]string{"no such image", "image not known", "unable to find image"}},
	{codes.ClassNotInstalled, "podman lacks a program that containers of a user need",
		"Debian: `sudo apt-get install uidmap`",
		[]string{"command required for rootless mode"}},
	{codes.ClassVersion, "the image needs a newer GPU driver", "update the driver, or take an image for an older CUDA",
		[]string{"unsatisfied condition: cuda", "unsatisfied condition: driver", "driver/library version mismatch"}},
	{codes.ClassNoDevice, "containers cannot use the GPUs",
		"install nvidia-container-toolkit and set it up: `sudo nvidia-ctk runtime configure --runtime=docker` for " +
			"docker, `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` for podman",
		[]string{"could not select device driver", "unresolvable cdi devices",
			"nvidia-container-cli: initialization error", "unknown runtime specified nvidia",
			"libnvidia-ml.so.1: cannot open shared object"}},
	{codes.ClassConfig, "the container cannot be bound to the processors that llem may use",
		"run llem without an affinity, or let the client use the cgroup controller cpuset",
		[]string{"controller `cpuset` is not available", "cpuset: no such file", "requested cpus are not available"}},
	{codes.ClassConfig, "the client sets limits that this machine does not allow",
		"put `default_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]` under [containers] of " +
			"containers.conf, within what `ulimit -Hn` and `ulimit -Hu` say",
		[]string{"setrlimit", "setting rlimit"}},
	{codes.ClassConfig, "the machine has no message queues for containers to share",
		"`sudo mkdir -p /dev/mqueue && sudo mount -t mqueue none /dev/mqueue`",
		[]string{"/dev/mqueue: no such file"}},
	{codes.ClassConfig, "the client's runtime does not start containers with the control groups of this machine",
		"name another one under [engine] of containers.conf (`runtime = \"runc\"`), or start Linux with " +
			"cgroups v2 alone",
		[]string{"cgroups in hybrid mode not supported"}},
	{codes.ClassConfig, "the container's side does not see the files of this one",
		"run llem outside of containers, or where its temporary folder (TMPDIR) and its cache are the same inside " +
			"and outside",
		[]string{"bind source path does not exist", "error mounting"}},
	{codes.ClassNotInstalled, "the image lacks a program that is needed: the engine's, or sh",
		"name the engine's program with container.program",
		[]string{"executable file not found", "no such file or directory: unknown", ": not found"}},
}

// containerFailure knows the text of a container that did not start; it is nil for others.
func containerFailure(text string) *note.Failure {
	for line := range strings.Lines(text) {
		low := strings.ToLower(line)
		for _, t := range trouble {
			if slices.ContainsFunc(t.texts, func(s string) bool { return strings.Contains(low, s) }) {
				return &note.Failure{Class: t.class, Message: t.what + ": " + shorten(line), Next: t.hint,
					LogTail: text}
			}
		}
	}
	return nil
}
