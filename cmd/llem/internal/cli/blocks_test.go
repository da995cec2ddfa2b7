package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/sim"
)

// pretended is a python3 that makes environments whose programs do nothing.
const pretended = `#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 1
mkdir -p "$3/bin"
for name in pip python; do printf '#!/bin/sh\n' > "$3/bin/$name"; chmod +x "$3/bin/$name"; done
`

// onSimulatedGPU replaces in a document what takes a GPU, and minutes of it. The window of the first run is long enough
// for its energy on any machine: in a short one, both readings of it disagree where the simulated driver is late.
var onSimulatedGPU = strings.NewReplacer("pytorch", "fake", "llem doctor --python", "llem doctor --quick --python",
	"-n 32 --input-tokens 512 --output-tokens 32",
	"-n 4 --input-tokens 32 --output-tokens 8 -s energy.min_window=3 -s baseline.resident_seconds=0.5",
	"prompts: 32, input_tokens: 512, output_tokens: 32}",
	"prompts: 4, input_tokens: 32, output_tokens: 8}\nenergy: {max_window: 1}\n"+
		"baseline: {seconds: 0.5, resident_seconds: 0.5}",
	"profile: standard", "profile: quick")

// TestDocsOfGPU runs the commands of the tutorial for GPU servers on a simulated GPU, through the imitated NVML: each
// block that begins with sh is a part of one script, and each yaml block a file.
func TestDocsOfGPU(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it measures in real time")
	}
	text, err := os.ReadFile(filepath.Join(repository, "docs/tutorial-gpu.md"))
	if err != nil {
		t.Fatal(err)
	}
	library, home, tools := imitatedNVML(t), t.TempDir(), t.TempDir()
	var script strings.Builder
	for _, b := range blocksOf(string(text)) {
		body := onSimulatedGPU.Replace(strings.Join(b.lines, ""))
		switch name, is := strings.CutPrefix(strings.TrimSpace(b.lines[0]), "# "); {
		case b.kind == "sh":
			script.WriteString(body)
		case b.kind == "yaml" && is:
			fmt.Fprintf(&script, "cat > %s << 'END'\n%sEND\n", name, body)
		}
	}
	if err := os.WriteFile(filepath.Join(tools, "python3"), []byte(pretended), 0o755); err != nil {
		t.Fatal(err)
	}
	gpu, err := sim.Create(filepath.Join(home, "gpu"), sim.Options{BareW: sim.CardBareW, Serial: serial()})
	if err != nil {
		t.Fatal(err)
	}
	defer gpu.Close()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-v", "-c", script.String())
	cmd.Dir = home
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LLEM_") }),
		"PATH="+tools+":"+filepath.Dir(programOfDocs(t))+":"+os.Getenv("PATH"), "HOME="+home,
		"LLEM_CACHE="+filepath.Join(home, "cache"), "HF_HUB_OFFLINE=1", "CI=1", sim.Env+"="+gpu.Path(),
		"LLEM_NVML_LIBRARY="+library)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"nvml", "agree", "J per output token", "4 of 4 runs ok", "best J/out", "VERIFIED"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not printed:\n%s", want, out)
		}
	}
	for _, name := range []string{"report.html", "pareto.svg"} {
		if info, err := os.Stat(filepath.Join(home, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// block is a block of code of a document.
type block struct {
	kind  string   // what follows the backquotes; "indented" for lines behind four blanks
	line  int      // where it begins
	lines []string // with their ends
}

// blocksOf returns the blocks of code of a document.
func blocksOf(text string) []block {
	var all []block
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		kind, fenced := strings.CutPrefix(lines[i], "```")
		b := block{kind: strings.TrimSpace(kind), line: i + 1}
		switch {
		case fenced:
			for i++; !strings.HasPrefix(lines[i], "```"); i++ {
				b.lines = append(b.lines, lines[i])
			}
		case strings.HasPrefix(lines[i], "    ") && i > 0 && lines[i-1] == "\n":
			b.kind = "indented"
			for ; i < len(lines) && strings.HasPrefix(lines[i], "    "); i++ {
				b.lines = append(b.lines, lines[i][4:])
			}
		default:
			continue
		}
		all = append(all, b)
	}
	return all
}

// scripts name what runs the blocks of a kind in a document as they are.
var scripts = map[[2]string]string{
	{"docs/tutorial-cluster.md", "sh"}: "testdata/slurm/check.sh",
	{"docs/tutorial-gpu.md", "sh"}:     "cmd/llem/internal/cli/blocks_test.go",
	{"docs/meter.md", "python"}:        "python/tests/test_measure.py",
	{"python/README.md", "python"}:     "python/tests/test_llem.py",
	{"docs/install.md", "sh"}:          "packaging/check.sh",
	{"docs/recipes.md", "sql"}:         "testdata/recipes/check.sh",
	{"docs/recipes.md", "python"}:      "testdata/recipes/check.sh",
	{"docs/recipes.md", "r"}:           "testdata/recipes/check.sh",
}

// elsewhere has the commands of documents that TestCommands does not run, one in a line, below the file that runs
// them, or the reason why no test can.
const elsewhere = `
.ci/run
	make demo
	make test
	make build
	python3 -m venv ct2 && ct2/bin/pip install ctranslate2 tokenizers
by hand: it needs a GPU
	bench/device/meter.sh get && OUT=/tmp/out bench/device/meter.sh --repeats 7,2,1
	OUT=/tmp/out MORE=--no-gaps LINE=480 SEARCH=440 bench/device/engine-study.sh
	STATIC=200 TRACE=500 LLAMACPP=275 MORE=--no-gaps bench/device/engine-study.sh
	bench/device/build.sh ./bench/client
	OUT=/tmp/out VLLM_BENCH=/tmp/vllm-bench bench/device/client.sh
Makefile
	llem run -b ctranslate2 -m random:smollm2-135m --python ct2/bin/python --estimate
internal/join/accuracy_test.go
	make accuracy
	make accuracy-loads
	go test ./internal/join -run TestAccuracy -v
	go test ./internal/join -run TestLoadAccuracy -v
internal/campaign/overhead_test.go
	TMPDIR=/dev/shm LLEM_TEST_OVERHEAD=9 go test ./internal/campaign -run '^TestWorkerOverhead$' -v
engine/vllm/real_test.go
	LLEM_TEST_VLLM=/path/to/venv/bin/python go test ./engine/vllm -run Real
engine/llamacpp/llamacpp_test.go
	LLEM_TEST_LLAMA_SERVER=/path/to/llama-server go test ./engine/llamacpp -run Real
cmd/llem/internal/cli/blocks_test.go
	llem doctor
cmd/llem/internal/cli/testdata/script/push.txtar
	llem push DIR hf:USER/NAME
	llem push results/batches hf:alice/batches --dry-run
	llem push results/batches hf:alice/batches --license cc-by-4.0
	llem pull hf:alice/batches
	llem verify hf:alice/batches
	llem verify https://example.org/supplement.zip
cmd/llem/internal/cli/testdata/script/mlflow.txtar
	llem push DIR mlflow:URI
internal/cluster/cluster_test.go
	llem submit study.yaml --on kubernetes --workers 4 -o /results --now
	llem submit --status /results/STUDY-20261129T120000Z --on kubernetes
cmd/llem/internal/cli/gallery_test.go
	tar -xzf bench/results/2026-11-29-h200/gallery.tar.gz
	llem report llama-batch-precision --html report.html
	llem plot llama-batch-precision pareto -o pareto.svg
	cd bench/results/2026-11-25-h100/engines; for f in torch-compiled torch-eager-8bit vllm; do tar -xzf $f.tar.gz; done
	llem site compiled eager torchao-int8 vllm-serve --no-raw --title "Engines on an H100" -o engines
docker/image.sh
	docker run --rm llem doctor
	docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/work" llem run STUDY.yaml
	make dist image
packaging/reproduce.sh
	packaging/reproduce.sh
by hand: Debian has no dnf; packaging/check.sh installs the file with rpm
	sudo dnf install ./llem-*.x86_64.rpm
python/check.sh
	pip install dist/llem-*.whl
docker/check.sh
	docker pull ghcr.io/ggml-org/llama.cpp:server-cuda
	llem run --backend llamacpp -s runner=container --model random:llama-3.1-8b
bench/device/truth.py
	OUT=/tmp/out python3 bench/device/truth.py
bench/truth/main.go
	go run ./bench/truth bench/results/2026-11-24-h200/truth.json.gz
by hand: it changes the machine
	sudo setcap cap_perfmon+ep "$(command -v llem)"
	sudo sysctl kernel.perf_event_paranoid=0
	sudo chmod a+r /sys/class/powercap/intel-rapl*:*/energy_uj
by hand: it installs gigabytes of other benchmarks and takes an hour
	bench/client/run.sh /tmp/peers -streams 1,64,256,1000 -step 40ms -output 40
	bench/client/run.sh /tmp/peers -rate 100,500 -arrivals constant
by hand: it needs a second machine
	ssh -L 8642:127.0.0.1:8642 HOST
by hand: it needs engines that are not in .ci/run
	LLEM_LLAMA_SERVER=…/llama-server LLEM_PYTHON_VLLM=…/python LLEM_PYTHON_PYTORCH=…/python \
		VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1 \
		llem run examples/engines.yaml -s llamacpp.threads=1 -s embedded.threads=1 \
		-s vllm.enforce_eager=true -s pytorch.device=cpu
`

// ranElsewhere returns what runs each command of elsewhere.
func ranElsewhere() map[string]string {
	by, all := "", map[string]string{}
	for line := range strings.Lines(continued.ReplaceAllString(elsewhere, " ")) {
		if command, is := strings.CutPrefix(line, "\t"); is {
			all[strings.TrimSpace(command)] = by
		} else {
			by = strings.TrimSpace(line)
		}
	}
	return all
}

// continued matches the end of a line of shell that the next one continues.
var continued = regexp.MustCompile(`\s*\\\n\s*`)

// command matches a line that is a command, rather than a formula or an output.
var command = regexp.MustCompile(`^([A-Z_]+=\S+ )*(llem|bin/llem|make|go|python3|pip|docker|podman|sudo|ssh|tar|cd|` +
	`bench/\S+|testdata/\S+|packaging/\S+|\S+/pip|curl|git|apt-get|npm|duckdb|kubectl|sbatch) `)

// commands returns the commands of a block without language, or of an indented one, without their comments.
func (b block) commands() []string {
	var all []string
	for line := range strings.Lines(continued.ReplaceAllString(strings.Join(b.lines, ""), " ")) {
		line, _, _ = strings.Cut(line, "  #")
		if line = strings.TrimPrefix(strings.TrimSpace(line), "$ "); command.MatchString(line + " ") {
			all = append(all, line)
		}
	}
	return all
}

// documentsWithBlocks are the documents that users read, by their names: not the reports in bench/results, which have
// the commands of the past.
func documentsWithBlocks(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "python/*.md", "examples/*.md"} {
		found, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(repository, file)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.ToSlash(name)] = string(text)
		}
	}
	return texts
}

// TestBlocks: each block of commands in a document is run by a test or a script, or has a reason why none can.
func TestBlocks(t *testing.T) {
	consoles, ran := map[string]bool{}, ranElsewhere()
	for _, doc := range documentsWithOutputs {
		consoles[doc.name] = true
	}
	used := map[string]bool{}
	for name, text := range documentsWithBlocks(t) {
		for _, b := range blocksOf(text) {
			script := scripts[[2]string{name, b.kind}]
			switch {
			case script != "":
				used[name+" "+b.kind] = true
				if s, err := os.ReadFile(filepath.Join(repository, script)); err != nil ||
					!strings.Contains(string(s), filepath.Base(name)) {
					t.Errorf("%s:%d: %s does not run it (%v)", name, b.line, script, err)
				}
			case b.kind == "console" && consoles[name]:
			case slices.Contains([]string{"console", "sh", "bash", "shell", "python"}, b.kind):
				t.Errorf("%s:%d: no test runs this block: name what runs it in blocks_test.go (scripts), or in "+
					"docs_test.go if it shows outputs", name, b.line)
			default:
				for _, c := range b.commands() {
					used[c] = true
					if ran[c] == "" && !strings.HasPrefix(c, "llem ") {
						t.Errorf("%s:%d: no test runs %q: name what runs it in blocks_test.go (elsewhere)", name,
							b.line, c)
					}
				}
			}
		}
	}
	for c, by := range ran {
		if !used[c] {
			t.Errorf("no document has %q any more: remove it from elsewhere", c)
		}
		if _, err := os.Stat(filepath.Join(repository, by)); err != nil && !strings.HasPrefix(by, "by hand: ") {
			t.Errorf("%q is not run by %s: %v", c, by, err)
		}
	}
	for s := range scripts {
		if !used[s[0]+" "+s[1]] {
			t.Errorf("%s has no block of %s any more: remove it from scripts", s[0], s[1])
		}
	}
}

// usersStudy is the study of the folder in which TestCommands runs commands: small, and with what their options take.
const usersStudy = `name: STUDY
model: random:tiny-llama
backend: fake
workload: {prompts: 680, input_tokens: 8, output_tokens: 2}
baseline: {seconds: 0.2, resident_seconds: 0.2}
energy: {max_window: 1, carbon_intensity_g_per_kwh: 400}
sweep: {fake.batch_size: [16, 64]}
execution: {cycles: 2}
`

// userFolder makes a folder as the documents' commands expect it: a study file, a study in results/batches and in
// old/results, and an unfinished one.
func userFolder(t *testing.T, llem func(dir, command string) *exec.Cmd) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"STUDY.yaml", "study.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(usersStudy), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := llem(dir, "llem run STUDY.yaml -q -o results && mv results/STUDY-* results/batches && "+
		"mkdir -p old/results other && cp -r results/batches old/results && cp -r results/batches other",
	).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd, out := llem(dir, "exec llem run STUDY.yaml --plain -o half"), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t.Context(), []string{"[N", "/N", "]"})
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if out, err := llem(dir, "mv half/STUDY-* results/NAME-TIME").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestCommands runs the commands of documents that show no output, in their order, in a folder of a user. What a
// document leaves to the reader is filled in: DIR, STUDY, ids, and ports.
func TestCommands(t *testing.T) {
	t.Parallel()
	if testing.Short() || !engineBuilt() {
		t.Skip("it measures with the embedded engine")
	}
	program, err := exec.LookPath("llem") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	llem := func(dir, command string) *exec.Cmd {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		t.Cleanup(stop)
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LLEM_") }),
			"PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "HOME="+dir, "LLEM_CACHE="+cacheFolder(),
			"HF_HUB_OFFLINE=1", "CI=1")
		return cmd
	}
	made, ran := userFolder(t, llem), ranElsewhere()
	runs, err := filepath.Glob(filepath.Join(made, "results/batches/runs/*-c1"))
	if err != nil || len(runs) != 2 {
		t.Fatalf("runs %v, %v", runs, err)
	}
	a, b := filepath.Base(runs[0])[:6], filepath.Base(runs[1])[:6]
	fill := strings.NewReplacer("[DIR]", "results/batches", "[DIR...]", "results", "DIR...", "results", "DIR|ZIP|hf:…",
		"results/batches", "DIR:ID1 :ID2", "results/batches:"+a+" :"+b, "DIR:ID", "results/batches:"+a, "DIR",
		"results/batches", "submit STUDY ", "submit study.yaml ", "-o /shared", "-o shared", "-o OUT", "-o public",
		"llem meter -- COMMAND ARGS…", "llem meter --estimate -- true", "llem meter -- python train.py",
		"llem meter --estimate -- true", "llem meter --baseline 0", "llem meter --estimate --baseline 0",
		"random:smollm2-135m --estimate", "random:smollm2-135m --estimate -n 2 --input-tokens 8 --output-tokens 4")
	for name, text := range documentsWithBlocks(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var commands []string
			for _, b := range blocksOf(text) {
				for _, c := range b.commands() {
					if ran[c] == "" && strings.HasPrefix(c, "llem ") && b.kind != "console" && b.kind != "sh" {
						commands = append(commands, fill.Replace(c))
					}
				}
			}
			if len(commands) == 0 {
				return
			}
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
				t.Fatal(err)
			}
			for _, c := range commands {
				if unfinished := "results/NAME-TIME"; strings.Contains(c, "--resume") {
					if err := cmp.Or(os.RemoveAll(filepath.Join(dir, unfinished)), os.CopyFS(
						filepath.Join(dir, unfinished), os.DirFS(filepath.Join(made, unfinished)))); err != nil {
						t.Fatal(err)
					}
				}
				if strings.HasPrefix(c, "llem serve") {
					serves(t, llem(dir, "exec "+c+" --listen 127.0.0.1:0"))
				} else if out, err := llem(dir, c).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", c, err, out)
				}
			}
		})
	}
}

// serves checks that a command prints an address, and ends on Ctrl-C.
func serves(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), "http://127.0.0.1:"); {
		if time.Sleep(10 * time.Millisecond); time.Now().After(end) {
			break
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if !strings.Contains(out.String(), "http://127.0.0.1:") {
		t.Errorf("%v prints no address:\n%s", cmd.Args, out.String())
	}
}
