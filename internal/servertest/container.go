package servertest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
)

// docker starts processes of this machine instead of containers. The images' own entrypoint, which all engines'
// images have, is a program that fails.
const docker = `#!/bin/sh
case $1 in
inspect) cat "$STATE/container" ;;
rm) echo "$3" >> "$STATE/removed" ;;
image)
  [ "$3" = example.org/engine:1 ] || { echo "Error: No such image: $3" >&2; exit 1; }
  echo '[{"Id":"sha256:1"}]' ;;
run)
  echo $$ > "$STATE/container"
  shift
  entry=false
  : > "$STATE/arguments"
  for a; do printf '%s\n' "$a" >> "$STATE/arguments"; done
  echo >> "$STATE/started"
  while [ "$1" != sha256:1 ]; do
    case $1 in
    --env) export "$2" ;;
    --entrypoint) entry=$2 ;;
    esac
    shift
  done
  shift
  exec "$entry" "$@" ;;
esac
`

// Docker puts a fake docker into PATH that starts processes of this machine. It returns the folder of its records,
// and a container of its only image.
func Docker(t *testing.T, program string) (state string, c *backend.Container) {
	t.Helper()
	state = t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "docker"), []byte(docker), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", state+":"+os.Getenv("PATH"))
	t.Setenv("STATE", state)
	t.Setenv("DOCKER_HOST", "")
	return state, &backend.Container{Image: "example.org/engine:1", Program: program}
}

// Container checks that a backend's program runs in a container as it does outside, with all files that it needs,
// and that no container is left.
func Container(t *testing.T, dialect string, stub func(Stubbed) backend.Backend, spec backend.Spec) {
	spec.BatchSize, spec.MaxContext, spec.LogPath = 4, 64, filepath.Join(t.TempDir(), "engine.log")
	command := Command(t, dialect, None)
	program := command.Path
	command.Path = "absent" // on this side
	b := stub(Stubbed{Command: command, Start: 20 * time.Second, Stall: 3 * time.Second})
	state, box := Docker(t, program)
	spec.Container = box
	session, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	log, err := session.Run(t.Context(), work())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range log.Requests {
		if !q.OK || q.OutputTokens != 8 {
			t.Errorf("request %d: %+v", q.ID, q)
		}
	}
	l := session.Loaded()
	if l.Image == nil || l.Image.ID != "sha256:1" || l.Image.Name != box.Image || l.Version == "" {
		t.Errorf("image %+v, version %q", l.Image, l.Version)
	}
	commandLine(t, state)
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if l.PID == 0 || syscall.Kill(-l.PID, 0) == nil {
		t.Errorf("process %d is still there, or not known", l.PID)
	}
	if started, removed := Lines(t, state, "started"), Lines(t, state, "removed"); len(started) < 2 ||
		len(removed) != len(started) {
		t.Errorf("%d containers were started, %d removed: want one for the version, and all removed", len(started),
			len(removed))
	}
	for _, what := range []string{"llem-container-*", "llem-" + dialect + "-*"} {
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), what)); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
	spec.Container = &backend.Container{Image: "example.org/absent:1", Program: program}
	_, err = b.Start(t.Context(), spec)
	check(t, err, expected{codes.ClassImage, "no image example.org/absent:1", "docker pull example.org/absent:1"})
}

// commandLine checks how the container of a server was started: every file of this machine among its arguments
// must be visible inside.
func commandLine(t *testing.T, state string) {
	t.Helper()
	args := Lines(t, state, "arguments")
	at := slices.Index(args, "sha256:1")
	if at < 0 {
		t.Fatalf("no image in %q", args)
	}
	if !slices.Contains(args[:at], "--no-healthcheck") || !slices.Contains(args[:at], "--network=host") {
		t.Errorf("arguments %q", args[:at])
	}
	rest := args[at:]
	rest = rest[slices.Index(rest, "llem")+3:] // after the folder of the pipes and the program
	files := 0
	for _, a := range rest {
		if !strings.HasPrefix(a, "/") {
			continue
		}
		files++
		seen := slices.ContainsFunc(args[:at], func(m string) bool {
			_, target, is := strings.Cut(m, "target=")
			target, _, _ = strings.Cut(target, ",")
			return is && (a == target || strings.HasPrefix(a, target+"/"))
		})
		if !seen {
			t.Errorf("%s is not visible inside: %q", a, args[:at])
		}
	}
	if files == 0 {
		t.Errorf("no model in %q", rest)
	}
}

// Lines returns the lines of a file in the fake docker's folder.
func Lines(t *testing.T, dir, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
