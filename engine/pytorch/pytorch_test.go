package pytorch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/note"
)

// script writes an executable shell script and returns its path.
func script(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func class(t *testing.T, err error) note.Class {
	t.Helper()
	f, ok := errors.AsType[*note.Failure](err)
	if !ok {
		t.Fatalf("error %v is not a failure", err)
	}
	if f.Next == "" {
		t.Errorf("failure %q has no hint", f.Message)
	}
	return f.Class
}

func TestCancelledBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	python := script(t, filepath.Join(t.TempDir(), "python"), "sleep 10")
	if _, err := (launcher{Python: python}).Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Probe() = %v, want context.Canceled", err)
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		section string
		want    settings
		ok      bool
	}{
		{``, settings{BatchSize: 1, AttnImplementation: "sdpa", Device: "auto"}, true},
		{`{}`, settings{BatchSize: 1, AttnImplementation: "sdpa", Device: "auto"}, true},
		{`{"batch_size": 8, "device": "cuda:1"}`, settings{BatchSize: 8, AttnImplementation: "sdpa", Device: "cuda:1"},
			true},
		{`{"attn_implementation": "eager", "cache_implementation": "static", "compile": "default"}`,
			settings{BatchSize: 1, AttnImplementation: "eager", Device: "auto", CacheImplementation: "static",
				Compile: "default"}, true},
		{`{"compile": "fastest"}`, settings{}, false},
		{`{"quantization": "int3"}`, settings{}, false},
		{`{"tensor_parallel_size": 2}`,
			settings{BatchSize: 1, AttnImplementation: "sdpa", Device: "auto", TensorParallelSize: 2},
			true},
		{`{"tensor_parallel_size": -1}`, settings{}, false},
		{`{"threads": -1}`, settings{}, false},
		{`{"batch_size": 0}`, settings{}, false},
		{`{"batch_size": "many"}`, settings{}, false},
		{`{"batchsize": 1}`, settings{}, false},
		{`{"attn_implementation": "magic"}`, settings{}, false},
		{`{"device": "cuda:"}`, settings{}, false},
		{`{"device": "tpu"}`, settings{}, false},
	}
	for _, test := range tests {
		got, err := parse(json.RawMessage(test.section))
		switch {
		case test.ok && (err != nil || *got != test.want):
			t.Errorf("parse(%s) = %+v, %v, want %+v", test.section, got, err, test.want)
		case !test.ok && class(t, err) != codes.ClassConfig:
			t.Errorf("parse(%s) = %v, want a config failure", test.section, err)
		}
	}
}

func TestBatchSizeIsOne(t *testing.T) {
	tests := []struct {
		section string
		size    int
		want    int // 0: refused
	}{
		{``, 0, 1}, {``, 4, 4}, {`{"batch_size":8}`, 0, 8}, {`{"batch_size":8}`, 8, 8},
		{`{"batch_size":8}`, 4, 0}, {`{"device":"cpu"}`, 4, 4},
	}
	for _, test := range tests {
		spec, err := resolve(backend.Spec{BatchSize: test.size, Options: json.RawMessage(test.section)})
		if test.want == 0 {
			if class(t, err) != codes.ClassConfig {
				t.Errorf("resolve(%s, %d) = %v, want a config failure", test.section, test.size, err)
			}
			continue
		}
		o, parseErr := parse(spec.Options)
		if err != nil || parseErr != nil || spec.BatchSize != test.want || o.BatchSize != test.want {
			t.Errorf("resolve(%s, %d) = %d, %+v, %v, want %d", test.section, test.size, spec.BatchSize, o, err,
				test.want)
		}
	}
}

// TestEmbedded checks that everything the worker needs is in the binary, and nothing else.
func TestEmbedded(t *testing.T) {
	onDisk, err := filepath.Glob("worker/llem_worker/*.py")
	if err != nil {
		t.Fatal(err)
	}
	want := append(onDisk, "worker/__main__.py")
	slices.Sort(want)
	var got []string
	_ = fs.WalkDir(scripts, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, path)
		}
		return err
	})
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("embedded %v, want %v", got, want)
	}
}

// TestMissingTorch runs the worker in an interpreter without packages.
func TestMissingTorch(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	t.Setenv("TMPDIR", t.TempDir())
	bare := script(t, filepath.Join(t.TempDir(), "python"), `exec "`+python+`" -S -I "$@"`)
	if _, err := (launcher{Python: bare}).interpreter(t.Context()); err != nil {
		t.Skip(err)
	}
	_, err = launcher{Python: bare}.Probe(t.Context())
	if got := class(t, err); got != codes.ClassNotInstalled || !strings.Contains(err.Error(), "torch") {
		t.Errorf("Probe() = %v (%s), want torch to be missing", err, got)
	}
	if f := fault.As(err); f.Next != install {
		t.Errorf("hint %q does not explain how to install it", f.Next)
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}

func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "llem-pytorch-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// testPython names an interpreter with torch and transformers.
func testPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("LLEM_TEST_PYTHON")
	if python == "" {
		t.Skip("LLEM_TEST_PYTHON does not name a Python with torch and transformers")
	}
	return python
}

func tinySpec(t *testing.T) backend.Spec {
	t.Helper()
	shape, err := shape.Lookup("tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), shape.Name)
	if err := model.WriteHFDir(dir, shape.Config, gguf.Float32); err != nil {
		t.Fatal(err)
	}
	return backend.Spec{Model: "random:tiny-llama", Path: dir, Synthetic: true, DType: "float32", Seed: 1}
}

func TestConformance(t *testing.T) {
	conforms(t, `{"device":"cpu"}`)
}

func TestConformanceStatic(t *testing.T) {
	conforms(t, `{"device":"cpu","cache_implementation":"static","prefill_chunk_size":16}`)
}

func TestConformanceCompiled(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++")
	}
	conforms(t, `{"device":"cpu","cache_implementation":"static","compile":"default"}`)
}

func TestConformanceContinuous(t *testing.T) {
	needs(t, "psutil")
	conforms(t, `{"device":"cpu","batching":"continuous"}`)
}

func TestConformanceParallel(t *testing.T) {
	conforms(t, `{"device":"cpu","tensor_parallel_size":2}`)
}

// TestRankDies: the run fails at once, with the rank in its message, and nothing is left.
func TestRankDies(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	spec := tinySpec(t)
	spec.Options, spec.MaxContext = json.RawMessage(`{"device":"cpu","tensor_parallel_size":2}`), 4096
	session, err := launcher{Python: testPython(t)}.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	pid := session.Loaded().PID
	ranks, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	rank, convErr := strconv.Atoi(strings.TrimSpace(string(ranks)))
	if err != nil || convErr != nil {
		t.Fatalf("children %q: %v, %v; want one", ranks, err, convErr)
	}
	var died time.Time
	time.AfterFunc(300*time.Millisecond, func() { died = time.Now(); _ = syscall.Kill(rank, syscall.SIGTERM) })
	_, err = session.Run(t.Context(),
		backend.Workload{Requests: []backend.Prompt{{ID: 1, Tokens: []int32{65}}}, OutputTokens: 4000})
	if took := time.Since(died); took > time.Minute {
		t.Errorf("the run failed %v after the rank died", took)
	}
	if class(t, err) != codes.ClassCrashed ||
		!strings.Contains(err.Error(), "rank 1 of 2 was ended by signal SIGTERM") {
		t.Errorf("Run() = %v", err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}

func TestConformanceQuantised(t *testing.T) {
	needs(t, "torchao")
	conforms(t, `{"device":"cpu","quantization":"torchao-int8"}`)
}

// needs skips a test without a Python package.
func needs(t *testing.T, name string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), testPython(t), "-c", "import "+name).Run(); err != nil {
		t.Skipf("%s cannot be imported: %v", name, err)
	}
}

// conforms runs the conformance suite with a pytorch section.
func conforms(t *testing.T, section string) {
	t.Helper()
	python := testPython(t)
	t.Setenv("TMPDIR", t.TempDir())
	spec := tinySpec(t)
	spec.Options = json.RawMessage(section)
	tmp := os.Getenv("TMPDIR")
	t.Cleanup(func() { mustBeEmpty(t, tmp) })
	backendtest.Run(t, backendtest.Suite{
		Backend: launcher{Python: python},
		Spec:    spec,
		Noisy:   launcher{Python: noisy(t, python)},
		Tokens:  model.ByteTokenizer{}.Encode,
		// Most of a part's time is one thread that imports torch.
		Parallel: true, Schedules: strings.Contains(section, "continuous"),
	})
}

// noisy wraps python so that a thread keeps printing to standard output.
func noisy(t *testing.T, python string) string {
	t.Helper()
	dir := t.TempDir()
	const customize = `
import sys, threading, time

def chatter():
    while True:
        print('{"event": "noise"}', flush=True)
        time.sleep(0.001)

threading.Thread(target=chatter, daemon=True).start()
`
	if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), []byte(customize), 0o644); err != nil {
		t.Fatal(err)
	}
	return script(t, filepath.Join(dir, "python"), `echo hello; PYTHONPATH="`+dir+`" exec "`+python+`" "$@"`)
}

func TestLoadFailures(t *testing.T) {
	b := launcher{Python: testPython(t)}
	tests := []struct {
		name   string
		change func(*backend.Spec)
		want   note.Class
	}{
		{"no folder", func(s *backend.Spec) { s.Path += "-absent" }, codes.ClassModelNotFound},
		{"no weights", func(s *backend.Spec) { s.Synthetic = false }, codes.ClassModelNotFound},
		{"dtype", func(s *backend.Spec) { s.DType = "q4_0" }, codes.ClassUnsupportedDType},
		{"device", func(s *backend.Spec) { s.Options = json.RawMessage(`{"device":"cuda:99"}`) },
			codes.ClassNoDevice},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			spec := tinySpec(t)
			test.change(&spec)
			if _, err := b.Start(t.Context(), spec); class(t, err) != test.want {
				t.Errorf("Start() = %v, want class %s", err, test.want)
			}
		})
	}
}

// TestWorkerScripts runs the worker's own tests.
func TestWorkerScripts(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), testPython(t), "-B", "-m", "unittest", "discover", "-p", "*_test.py")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTemplate: the worker's own tokenizer puts conversations into the template of the model's folder, as text in
// which special tokens are tokens; if a template refuses a conversation, its own words are reported.
func TestTemplate(t *testing.T) {
	python := testPython(t)
	spec := tinySpec(t)
	spec.Options, spec.MaxContext = json.RawMessage(`{"device":"cpu"}`), 128
	const template = "{{ bos_token }}{% for m in messages %}{% if m.role == 'tool' %}{{ " +
		"raise_exception('no tools') }}" +
		"{% endif %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}{% if add_generation_prompt " +
		"%}[assistant]{% endif %}"
	if err := os.WriteFile(filepath.Join(spec.Path, "chat_template.jinja"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	session, err := launcher{Python: python}.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	templater := session.(chat.Templater)
	got, err := templater.Template(t.Context(), []chat.Conversation{{{Role: "user", Content: " Größe 東京 "}},
		{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Hi"}}})
	if err != nil || len(got) != 2 {
		t.Fatalf("template = %v, %v", got, err)
	}
	for i, text := range []string{"[user]Größe 東京[assistant]", "[system]Be brief.[user]Hi[assistant]"} {
		want := append([]int32{beginToken}, model.ByteTokenizer{}.Encode(text)...)
		if !slices.Equal(got[i], want) {
			t.Errorf("conversation %d = %v, want %v", i, got[i], want)
		}
	}
	_, err = templater.Template(t.Context(), []chat.Conversation{{{Role: "tool", Content: "x"}}})
	if f := fault.As(err); f.Class != codes.ClassConfig || !strings.Contains(f.Error(), "no tools") ||
		!strings.Contains(f.Next, "chat_template: none") {
		t.Errorf("a tool: %v (%s, %q)", err, f.Class, f.Next)
	}
	if ids, err := session.Tokenize(t.Context(), []string{"ab"}); err != nil || !slices.Equal(ids[0], []int32{97, 98}) {
		t.Errorf("tokenize after that = %v, %v", ids, err)
	}
}

// beginToken is the id of the token with which texts of a random model begin, if a template requests it.
const beginToken = model.TokenBOS
