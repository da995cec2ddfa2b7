package vllm

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/server/servertest"
)

// docker starts processes of this machine.
const docker = `#!/bin/sh
case $1 in
inspect) cat "$STATE/container" ;;
rm) echo "$3" >> "$STATE/removed" ;;
image) echo '[{"Id":"sha256:1"}]' ;;
run)
  echo $$ > "$STATE/container"
  while [ "$1" != sha256:1 ]; do
    case $1 in --env) export "$2" ;; esac
    shift
  done
  shift
  exec sh "$@" ;;
esac
`

// The server in a container, its version asked for in one too.
func TestContainer(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(docker), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("STATE", dir)
	command := servertest.Command(t, Name, servertest.None)
	s := spec(t)
	s.MaxContext = 64
	s.Container = &backend.Container{Image: "vllm/vllm-openai:v0.11.0", Program: command.Path}
	command.Path = "absent"
	b := stub(servertest.Stubbed{Command: command, Start: 20 * time.Second, Stall: 3 * time.Second})
	session, err := b.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	log, err := session.Run(t.Context(), backend.Workload{OutputTokens: 8, Requests: []backend.Prompt{{ID: 1, Tokens: []int32{5, 6}}, {ID: 2, Tokens: []int32{7}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range log.Requests {
		if !q.OK || q.OutputTokens != 8 {
			t.Errorf("request %d: %+v", q.ID, q)
		}
	}
	l := session.Loaded()
	if l.Image == nil || l.Image.ID != "sha256:1" || l.Image.Name != s.Container.Image || l.Version == "" {
		t.Errorf("image %+v, version %q", l.Image, l.Version)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if removed, err := os.ReadFile(filepath.Join(dir, "removed")); err != nil || len(removed) == 0 {
		t.Errorf("removed %q, %v", removed, err)
	}
}
