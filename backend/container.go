package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/runners"
	"github.com/llenergymeasure/llem/note"
)

// Container is the image in which an engine runs instead of running as a process of this machine. It is started
// with the command line of docker or podman. The kernel, the clock, the sensors and the loopback address are this
// machine's.
type Container struct {
	// Client is docker, podman or a path; empty takes the first of the two in PATH.
	Client string
	// Image is the image's name. The image must be on this machine: nothing is downloaded.
	Image string
	// Recipe is the Dockerfile in llem's source folder that builds the image; empty for an image that is pulled.
	Recipe string
	// Program is the program of the image that replaces the program of the command.
	Program string
	// Folders of this machine are visible inside, read-only, at the same path.
	Folders []string
	// GPUs are the visible GPUs, by UUID, or "all"; empty means none.
	GPUs []string
}

// Image identifies the files that an engine runs from.
type Image struct {
	// Name is the image's name and tag.
	Name string
	// ID is the digest of the image's configuration. Digest is its digest in a registry, empty for an image that was
	// built here.
	ID, Digest string
}

// Within returns the command as it runs for spec: with the spec's symptoms and in its container, if it has one.
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

// foldersOf returns the folders that hold a model: its own folder and the targets of its links. The Hugging Face
// cache keeps the files of all revisions in one folder.
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
		return nil // the engine reports what is wrong with it
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

// foldersIn returns the folders among an engine's settings, such as a second model.
func foldersIn(options json.RawMessage) []string {
	var section map[string]any
	if json.Unmarshal(options, &section) != nil {
		return nil // no options, or none that the engine could read
	}
	var out []string
	for _, v := range section {
		if path, ok := v.(string); ok && filepath.IsAbs(path) && filepath.Dir(path) != path {
			out = append(out, foldersOf(path)...)
		}
	}
	return out
}

// once removes duplicates: clients refuse to mount a folder twice.
func once(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Find looks for the client program and the image. It starts nothing.
func (c *Container) Find() (client string, image Image, err error) {
	if client, err = runners.Find(c.Client); err != nil {
		return "", Image{}, err
	}
	image, err = c.find(client)
	return client, image, err
}

// find queries the client for the image.
func (c *Container) find(client string) (Image, error) {
	if where, host := service(client); host != "" && !strings.HasPrefix(host, "unix://") {
		return Image{}, note.Failf(codes.ClassConfig, "change that, or run llem on that machine",
			"%s is %s: the sensors of this machine cannot see an engine on another one", where, host)
	}
	out, err := runners.Ask(client, "image", "inspect", c.Image)
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

// describedImage parses what docker and podman print about an image.
func describedImage(text []byte) (Image, bool) {
	var got []struct {
		ID          string `json:"Id"`
		RepoDigests []string
	}
	if err := json.Unmarshal(text, &got); err != nil || len(got) != 1 || got[0].ID == "" {
		return Image{}, false
	}
	const sha = "sha256:" // podman leaves the prefix out
	image := Image{ID: sha + strings.TrimPrefix(got[0].ID, sha)}
	for _, d := range got[0].RepoDigests {
		// podman puts images that were built here under localhost/
		if repo, digest, ok := strings.Cut(d, "@"); ok && !strings.HasPrefix(repo, "localhost/") {
			image.Digest = digest
			break
		}
	}
	return image, true
}

// refused returns the failure of a client that does not describe an image.
func (c *Container) refused(client string, err error) error {
	if f, ok := errors.AsType[*note.Failure](err); ok {
		return f
	}
	f := runners.Failure(err.Error())
	if f == nil {
		return &note.Failure{Class: codes.ClassNotInstalled, Message: "ask for the image " + c.Image, Err: err,
			Next: "try the command by hand"}
	}
	if f.Class != codes.ClassImage {
		return f
	}
	hint := fmt.Sprintf("fetch it with `%s`", runners.GetImage(client, c.Image, c.Recipe))
	if c.Recipe != "" {
		hint = fmt.Sprintf("build it in llem's source folder: `%s`", runners.GetImage(client, c.Image, c.Recipe))
	}
	return &note.Failure{Class: codes.ClassImage, Message: "there is no image " + c.Image + " on this machine",
		Next:    hint,
		LogTail: err.Error()}
}
