package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/termsvg"
)

var updateDocs = flag.Bool("update", false, "write the outputs of README.md and docs/ from the program")

// repository is the folder that README.md is in.
const repository = "../../../.."

// documentsWithOutputs are the documents with blocks of console.
var documentsWithOutputs = []struct {
	name string
	here bool // its commands read files of the repository, from its root
}{
	{"README.md", true}, {"docs/example-output.md", true}, {"docs/paper.md", true}, {"docs/tutorial-gpu.md", true},
	{"docs/load.md", true}, {"docs/tutorial.md", false}, {"docs/meter.md", false},
}

// TestDocs runs the commands of the documents that show outputs, and compares the outputs.
//
// A block that begins with ```console holds commands ("$ llem …") and what they print. What is printed of
// files of the repository is the same to the last byte. The tutorial measures, which gives other numbers each
// time: numbers are masked, and the words shown must be printed in their order; "…" and empty lines stand for
// any others. A command ends with exit code 0, unless "$ echo $?" follows it. A line "^C" interrupts the
// command when the line before it has been printed. A yaml block whose first line is "# NAME.yaml" is a file
// of that name. -update writes the outputs: all of one where the words shown are not printed any more.
func TestDocs(t *testing.T) {
	t.Parallel()
	if testing.Short() || !engineBuilt() {
		t.Skip("it measures with the embedded engine")
	}
	llem := programOfDocs(t)
	for _, doc := range documentsWithOutputs {
		t.Run(doc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(repository, doc.name)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			// The simulated GPU works in real time: other tests on the machine can scatter what a document measures so
			// much that its answers change.
			for tries := 3; tries > 0; tries-- {
				d := document{t: t, llem: llem, here: doc.here, root: t.TempDir()}
				d.dir = d.root
				if doc.here {
					d.dir, tries = repository, 1
				}
				if got = d.run(string(text)); len(d.wrong) == 0 {
					break
				}
				if tries == 1 {
					t.Error(strings.Join(d.wrong, "\n"))
				} else {
					t.Logf("once more:\n%s", strings.Join(d.wrong, "\n"))
				}
			}
			if *updateDocs {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// programOfDocs builds llem: the tests' own program does not know the versions of its modules.
func programOfDocs(t *testing.T) string {
	t.Helper()
	llem := filepath.Join(t.TempDir(), "llem")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", llem, "../..").CombinedOutput(); err != nil {
		t.Fatalf("build llem: %v\n%s", err, out)
	}
	return llem
}

// reads matches commands that read results: in documents about files of the repository, README.md's others are run by
// testdata/check_readme.sh.
var reads = regexp.MustCompile(`^(llem (report|compare|verify)|tar) `)

// document is a document whose commands are being run.
type document struct {
	t    *testing.T
	here bool   // its commands read files of the repository, from its root
	dir  string // where its commands run
	root string // the folder of a user, who has nothing yet
	llem string // the program
	code int    // the exit code of the last command
	// wrong has what differs between the document and the program.
	wrong []string
}

// errorf notes a difference.
func (d *document) errorf(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
}

// run runs the blocks of a document and returns it with their outputs.
func (d *document) run(text string) string {
	var to strings.Builder
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		to.WriteString(lines[i])
		kind, fenced := strings.CutPrefix(strings.TrimSpace(lines[i]), "```")
		if !fenced {
			continue
		}
		end := i + 1
		for !strings.HasPrefix(strings.TrimSpace(lines[end]), "```") {
			end++
		}
		block := lines[i+1 : end]
		switch kind {
		case "console":
			to.WriteString(d.console(block))
		case "yaml":
			d.file(block)
			fallthrough
		default:
			to.WriteString(strings.Join(block, ""))
		}
		to.WriteString(lines[end])
		i = end
	}
	return to.String()
}

// file writes a block that is a file.
func (d *document) file(block []string) {
	name, is := strings.CutPrefix(strings.TrimSpace(block[0]), "# ")
	if !is || filepath.Ext(name) != ".yaml" || strings.ContainsAny(name, " /") || d.here {
		return
	}
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(strings.Join(block, "")), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// console runs the commands of a block and returns it with their outputs.
func (d *document) console(block []string) string {
	var to strings.Builder
	for i := 0; i < len(block); {
		command, is := strings.CutPrefix(strings.TrimSuffix(block[i], "\n"), "$ ")
		if !is {
			d.t.Fatalf("output without a command: %s", block[i])
		}
		to.WriteString(block[i])
		from := i + 1
		for i++; i < len(block) && !strings.HasPrefix(block[i], "$ "); i++ {
		}
		want := strings.Join(block[from:i], "")
		if command == "echo $?" {
			to.WriteString(want)
			continue
		}
		if to, is := strings.CutPrefix(command, "cd "); is {
			d.cd(to)
			continue
		}
		wanted := exitOK
		if i+1 < len(block) && strings.TrimSpace(block[i]) == "$ echo $?" {
			var err error
			if wanted, err = strconv.Atoi(strings.TrimSpace(block[i+1])); err != nil {
				d.t.Fatal(err)
			}
		}
		if d.here && want == "" && !reads.MatchString(command) {
			continue // testdata/check_readme.sh runs it
		}
		got := d.command(command, want)
		if d.code != wanted {
			d.errorf("$ %s\nexit code %d, want %d\n%s", command, d.code, wanted, got)
		}
		to.WriteString(d.compare(command, want, got))
	}
	return to.String()
}

// cd changes the folder of the commands that follow; a pattern stands for the one folder that it matches.
func (d *document) cd(to string) {
	found, err := filepath.Glob(filepath.Join(d.dir, to))
	if err != nil || len(found) != 1 {
		d.t.Fatalf("cd %s: %v, %v", to, found, err)
	}
	d.dir = found[0]
}

// command runs a command and returns what it prints on both outputs, in their order.
func (d *document) command(command, want string) string {
	t := d.t
	if archive, is := strings.CutPrefix(command, "tar xf "); is {
		d.unpack(archive)
		return ""
	}
	words := strings.Fields(command)
	if d.here {
		words = strings.Fields(strings.ReplaceAll(command, "/tmp/", d.root+"/"))
	}
	if words[0] != "llem" && words[0] != "bin/llem" {
		t.Fatalf("a document runs %q", command)
	}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	for i, w := range words {
		words[i] = strings.Trim(w, "'")
	}
	cmd := exec.CommandContext(ctx, d.llem, words[1:]...)
	cmd.Args[0] = "llem" // as if it were in PATH
	cmd.Dir = d.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LLEM_") || strings.HasPrefix(v, "HF_")
	}), "PATH="+filepath.Dir(d.llem)+":"+os.Getenv("PATH"), "HOME="+d.root, "LLEM_CACHE="+cacheFolder(),
		"HF_HUB_OFFLINE=1", "COLUMNS=80", "LC_ALL=C.UTF-8", "CI=1")
	if d.here {
		cmd.Env = append(cmd.Env, "LLEM_RESULTS="+d.root)
	}
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if before, _, is := strings.Cut(want, "^C\n"); is {
		lines := strings.Split(strings.TrimSpace(before), "\n")
		out.waitFor(ctx, strings.Fields(masked(lines[len(lines)-1])))
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait()
	d.code = cmd.ProcessState.ExitCode()
	home := "/home/you"
	if d.here {
		home = "/tmp"
	}
	text := out.String()
	from, err := filepath.Abs(cmd.Dir)
	if err != nil {
		t.Fatal(err)
	}
	// Commands have the shorter of both names of a folder.
	if rel, err := filepath.Rel(from, d.root); err == nil && strings.HasPrefix(rel, "..") {
		text = strings.ReplaceAll(text, rel+"/", d.root+"/")
	}
	return withoutPlaces(t, text, d.root, home)
}

// withoutPlaces is an output without where the repository and a test's folder are on this machine.
func withoutPlaces(t *testing.T, text, root, home string) string {
	t.Helper()
	here, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(here+"/", "", root, home).Replace(text)
}

// unpack unpacks an archive of the repository, "FILE -C /tmp", below the test's folder instead of /tmp.
func (d *document) unpack(arguments string) {
	file, _, is := strings.Cut(arguments, " -C /tmp")
	if !is || !d.here {
		d.t.Fatalf("tar xf %s", arguments)
	}
	if out, err := exec.CommandContext(d.t.Context(), "tar", "xf", filepath.Join(d.dir, file), "-C",
		d.root).CombinedOutput(); err != nil {
		d.t.Fatalf("unpack %s: %v\n%s", file, err, out)
	}
	d.code = exitOK
}

// compare compares the output of a command with the document, and returns the text that the document keeps.
func (d *document) compare(command, want, got string) string {
	if *updateDocs && (want == "" || d.here) {
		return got
	}
	if d.here {
		if diff := cmp.Diff(want, got); diff != "" {
			d.errorf("$ %s\nthe document (-) and the program (+) differ; -update writes it:\n%s", command, diff)
		}
		return want
	}
	rest := strings.Fields(masked(got))
	for _, part := range parts(want) {
		words := strings.Fields(masked(part))
		at := indexOf(rest, words)
		if at < 0 && *updateDocs {
			return got
		}
		if at < 0 {
			d.errorf("$ %s\nthe document has\n%s\nwhich is not printed, or not in that order:\n%s", command, part,
				got)
			return want
		}
		rest = rest[at+len(words):]
	}
	return want
}

// parts are the stretches of an output in a document between its empty lines, "…" and "^C".
func parts(output string) []string {
	parts := []string{""}
	for line := range strings.Lines(output) {
		switch strings.TrimSpace(line) {
		case "", "…", "^C":
			parts = append(parts, "")
		default:
			parts[len(parts)-1] += line
		}
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" })
}

// indexOf is where words begin in a text, −1 if they are not in it.
func indexOf(text, words []string) int {
	for i := 0; i+len(words) <= len(text); i++ {
		if slices.Equal(text[i:i+len(words)], words) {
			return i
		}
	}
	return -1
}

// These are what differs from one measurement to the next: numbers with the prefix of their unit, curves and
// bars, scales, and whether a value is there. Where lines break and how wide columns are differs,
// too, so words are compared.
var (
	number = regexp.MustCompile(`(?:[-+±]|\b)?\d[\d.,:]*(?:T\d+Z(?:-\d+)?)?(?: ?[µmkMGT]?(J|s|W|Wh|B|iB|FLOP)\b)?`)
	curve  = regexp.MustCompile(`[\x{2580}-\x{259f}\x{25a0}-\x{25ff}\x{2500}-\x{257f}]+`)
	scale  = regexp.MustCompile(`(?:N\s+)+`) // of a chart, with as many marks as fit
)

// masked is a text without what differs from one measurement to the next.
func masked(line string) string {
	line = number.ReplaceAllString(curve.ReplaceAllString(line, " "), "N $1 ")
	line = strings.NewReplacer("–", " N ", "? ", " ").Replace(line)
	return scale.ReplaceAllString(line, "N ")
}

// output is what a command has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to it.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String is all of it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// waitFor waits until words have been printed.
func (o *output) waitFor(ctx context.Context, words []string) {
	for ctx.Err() == nil && indexOf(strings.Fields(masked(o.String())), words) < 0 {
		time.Sleep(5 * time.Millisecond)
	}
}

// pictureOf is the comment of a document that says which command a picture shows.
var pictureOf = regexp.MustCompile(`<!-- picture: (docs/pictures/[a-z-]+\.svg) of llem (report [^ ]+(?: -v)?) -->`)

// TestPictures: pictures of the documents show what a command of this version prints on a terminal of 80
// columns; -update draws them. It changes the working folder, so it runs alone.
func TestPictures(t *testing.T) {
	here, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for _, doc := range append(documents, "README.md") {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pictureOf.FindAllStringSubmatch(string(text), -1) {
			drawn++
			var out bytes.Buffer
			code := Main(Env{Args: strings.Fields(m[2]), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
				StdoutTTY: true, Columns: func() int { return 80 }, Getenv: func(name string) string {
					return map[string]string{"TERM": "xterm-256color", "LANG": "C.UTF-8"}[name]
				}})
			if code != exitOK {
				t.Errorf("llem %s: exit code %d\n%s", m[2], code, out.String())
				continue
			}
			want := termsvg.SVG("$ llem "+m[2]+"\n"+strings.ReplaceAll(out.String(), here+"/", ""), 80)
			if *updateDocs {
				if err := os.WriteFile(m[1], want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(m[1]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is not what llem %s prints (%v): draw it with -update", m[1], m[2], err)
			}
		}
	}
	if drawn == 0 {
		t.Error("no document has a picture")
	}
}
