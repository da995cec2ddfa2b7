package runners

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/printed"
	"github.com/llenergymeasure/llem/note"
)

// Find finds the client program: name, or the first of docker and podman in PATH.
func Find(name string) (string, error) {
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

// askTimeout bounds a command of the client, which may first have to start its service.
const askTimeout = 20 * time.Second

// mostOfClient bounds the client's output: a description of a container may be long.
const mostOfClient = 16 << 20

// Ask runs a short command of the client. The error includes its standard error.
func Ask(client string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, client, args...)
	c.WaitDelay = time.Second
	out, said, err := printed.Output(c, mostOfClient, cancel)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, note.Failf(codes.ClassNotInstalled, "check that its service runs: `systemctl status docker`",
			"`%s %s` did not answer within %v", client, args[0], askTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", client, args[0], err, bytes.TrimSpace(said))
	}
	return out, nil
}

// GetImage returns the command that puts an image on this machine; recipe is the Dockerfile in llem's source
// folder that builds it, or empty.
func GetImage(client, image, recipe string) string {
	if recipe != "" {
		return fmt.Sprintf("%s build -t %s -f %s .", client, image, recipe)
	}
	return client + " pull " + image
}
