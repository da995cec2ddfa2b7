package asked

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestParseHelp: help texts as argparse, click and llama.cpp print them.
func TestParseHelp(t *testing.T) {
	for name, q := range map[string]struct {
		text       string
		has, lacks []string
	}{
		"argparse": {"usage: vllm serve [-h] [--port PORT]\n\n  --enforce-eager, --no-enforce-eager\n             " +
			"           Whether to use eager mode, see --other-things.\n  --tensor-parallel-size " +
			"TENSOR_PARALLEL_SIZE, -tp TENSOR_PARALLEL_SIZE\n",
			[]string{"--port", "--enforce-eager", "--no-enforce-eager",
				"--tensor-parallel-size"}, []string{"--enforce", "--tensor-parallel"}},
		"click": {"Options:\n  --port INTEGER   :tag:`beta` Port\n  --tensor_parallel_size, --tp_size " +
			"INTEGER\n  --config, --extra_llm_api_options TEXT\n", []string{"--tp_size", "--config",
			"--extra_llm_api_options"}, []string{"--tp-size"}},
		"llama.cpp": {"-kvo,  --kv-offload, -nkvo, --no-kv-offload\n                        whether (default: " +
			"enabled)\n--port PORT                             port to listen (default: 8080)\n",
			[]string{"--kv-offload", "--no-kv-offload", "--port"}, []string{"--kv"}},
	} {
		k := parseHelp(q.text)
		for _, o := range q.has {
			if !k.Has(o) {
				t.Errorf("%s: %s is missing in %v", name, o, k)
			}
		}
		for _, o := range q.lacks {
			if k.Has(o) {
				t.Errorf("%s: there is no %s", name, o)
			}
		}
	}
	for _, text := range []string{"", "RuntimeError: Failed to infer device type",
		"usage: vllm serve --help=all\n  ModelConfig  --help=ModelConfig\n"} {
		if k := parseHelp(text); k != nil || !k.Has("--anything") {
			t.Errorf("%q gives %v, want nothing known", text, k)
		}
	}
}

func TestKnown(t *testing.T) {
	k := Known{"--port": true, "--new-name": true}
	if got := k.First("--old-name", "--new-name"); got != "--new-name" {
		t.Errorf("%s", got)
	}
	if got := k.First("--a", "--b"); got != "--a" {
		t.Errorf("%s: what no version has is refused by its first name", got)
	}
	if err := k.Check("x", "1.2",
		[]string{"serve", "--port", "1", "-O2", "--new-name=--none", "{--json}"}); err != nil {
		t.Error(err)
	}
	err := k.Check("x", "1.2", []string{"--port", "1", "--gone", "3"})
	f, ok := errors.AsType[*note.Failure](err)
	if !ok || f.Class != codes.ClassVersion || !strings.Contains(f.Message, "x 1.2 has no option --gone") {
		t.Errorf("%v", err)
	}
}

// TestOptionsOfOnce: a program is queried once for each version, even if it fails.
func TestOptionsOfOnce(t *testing.T) {
	dir := t.TempDir()
	count := filepath.Join(dir, "count")
	cmd := backend.Command{Path: "/bin/sh",
		Args: []string{"-c", `echo >> "$0"; [ "$1" = --help ] && echo "  --port PORT"`, count}}
	for _, version := range []string{"1", "1", "2"} {
		if k := OptionsOf(t.Context(), cmd, version, []string{"--help=all"}, []string{"--help"}); !k["--port"] {
			t.Errorf("%v", k)
		}
	}
	b, err := os.ReadFile(count)
	if err != nil || len(b) != 4 { // two tries for each version
		t.Errorf("asked %d times, %v", len(b), err)
	}
	cmd.Args[1] = `echo >> "$0"; exit 3`
	for range 3 {
		if k := OptionsOf(t.Context(), cmd, "1", []string{"--help"}); k != nil {
			t.Errorf("%v", k)
		}
	}
	if b, _ = os.ReadFile(count); len(b) != 5 {
		t.Errorf("asked %d times", len(b)-4)
	}
}
