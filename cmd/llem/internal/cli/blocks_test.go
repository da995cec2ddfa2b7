package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// onSimulatedGPU replaces in a document what takes a GPU, and minutes of it.
var onSimulatedGPU = strings.NewReplacer("pytorch", "fake", "llem doctor --python", "llem doctor --quick --python",
	"-n 32 --input-tokens 512 --output-tokens 32",
	"-n 4 --input-tokens 32 --output-tokens 8 -s energy.max_window=1 -s baseline.resident_seconds=0.5",
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
