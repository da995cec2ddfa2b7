package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/recheck"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// gallery unpacks the study behind docs/gallery.
func gallery(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	unpack(t, "bench/results/2026-11-29-h200/gallery.tar.gz", dir)
	return filepath.Join(dir, "llama-batch-precision")
}

// unpack unpacks an archive of the repository.
func unpack(t *testing.T, file, dir string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", filepath.Join(repository, file), "-C",
		dir).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v\n%s", file, err, out)
	}
}

// TestGallery draws the figures of docs/gallery from the stored study, and compares them to the last byte.
func TestGallery(t *testing.T) {
	t.Parallel()
	study, out := gallery(t), t.TempDir()
	for _, kind := range picture.Kinds() {
		galleryFigure(t, kind, "plot", study, kind)
	}
	page := filepath.Join(out, "report.html")
	if code, _, stderr := llemMain(t, "report", study, "--html", page); code != 0 {
		t.Fatalf("report --html: exit %d\n%s", code, stderr)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(study), []byte("llama-batch-precision"))
	galleryPage(t, "report.html", text)
	for _, section := range []string{"configurations", "pareto", "joules", "times", "power", "course", "compare",
		"doubts", "how"} {
		if !strings.Contains(string(text), `<section id="`+section+`"`) {
			t.Errorf("the page has no section %s", section)
		}
	}
}

// galleryFigure compares a figure of docs/gallery with what a command draws.
func galleryFigure(t *testing.T, name string, command ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".svg")
	if code, _, stderr := llemMain(t, append(command, "-o", file)...); code != 0 {
		t.Errorf("%q: exit %d\n%s", command, code, stderr)
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(repository, "docs/gallery", name+".svg")
	if *updateDocs {
		if err := os.WriteFile(kept, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v): run with -update and look at it", kept, err)
	}
}

// TestGalleryOfLoads draws the figures of docs/gallery from the stored studies of a server.
func TestGalleryOfLoads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unpack(t, "bench/results/2026-11-29-h200/load/load-line.tar.xz", dir)
	unpack(t, "bench/results/2026-11-30-h200/load-trace.tar.xz", dir)
	galleryFigure(t, "load", "plot", filepath.Join(dir, "load-line-20261129T185125Z"), "load", "--columns", "2")
	galleryFigure(t, "load-frontier", "plot", filepath.Join(dir, "load-trace-20261130T055737Z"), "frontier", "--x",
		"tok/s/user", "--columns", "2")
}

// TestGalleryOfEngines makes the site of docs/gallery/engines from stored studies of several engines, and compares its
// pages.
func TestGalleryOfEngines(t *testing.T) {
	t.Parallel()
	llem, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "engines")
	for _, name := range []string{"torch-compiled", "torch-eager-8bit", "vllm"} {
		unpack(t, "bench/results/2026-11-25-h100/engines/"+name+".tar.gz", dir)
	}
	cmd := exec.CommandContext(t.Context(), llem, "site", "--no-raw", "--title", "Engines on an H100", "-o", out,
		"compiled", "eager", "torchao-int8", "vllm-serve")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SOURCE_DATE_EPOCH=1764115200")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	pages, err := filepath.Glob(filepath.Join(out, "studies", "*", "report.html"))
	if err != nil || len(pages) != 4 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, filepath.Join(out, "index.html")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(out, page)
		if err != nil {
			t.Fatal(err)
		}
		galleryPage(t, filepath.Join("engines", name), text)
	}
}

var (
	packedData = regexp.MustCompile(`"data":"[^"]*"`) // compressed: a version of Go may do it otherwise
	generator  = regexp.MustCompile(`<meta name="generator"[^>]*>|<p>Written by llem [^<]*</p>`)
)

// galleryPage compares a page with the one of docs/gallery, line by line: all but the version of the program.
func galleryPage(t *testing.T, name string, text []byte) {
	t.Helper()
	kept := filepath.Join(repository, "docs/gallery", name)
	if *updateDocs {
		if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o755), os.WriteFile(kept, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	lines := func(b []byte) []string {
		return strings.Split(packedData.ReplaceAllString(generator.ReplaceAllString(string(b), ""), ""), "\n")
	}
	got, old := lines(text), lines(want)
	for i := range max(len(got), len(old)) {
		if i < len(got) && i < len(old) && got[i] == old[i] {
			continue
		}
		line := func(all []string) string {
			if i >= len(all) {
				return "the end"
			}
			return all[i][:min(len(all[i]), 300)]
		}
		t.Fatalf("%s differs in line %d: run with -update and look at it\n%s\nwas\n%s", kept, i+1, line(got), line(old))
	}
}

// TestRecomputedByAnotherVersion: lines of a journal whose reasons another version worded are not damaged.
func TestRecomputedByAnotherVersion(t *testing.T) {
	t.Parallel()
	study := gallery(t)
	if code, stdout, stderr := llemMain(t, "report", study, "--recompute"); code != 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	rows, err := store.Rows(study)
	if err != nil {
		t.Fatal(err)
	}
	row := rows[0]
	row.Missing = []result.Missing{{Of: "latency.ttft_ms.p99", Reason: "in other words"}}
	own := rows[0]
	own.Missing = []result.Missing{{Of: "latency.ttft_ms.p99", Reason: "too few values"},
		{Of: "energy.cost", Reason: "new"}}
	if !recheck.SameRow(row, own) {
		t.Error("a reason in other words is taken for damage")
	}
	row.Missing[0].Of = "energy"
	if recheck.SameRow(row, own) {
		t.Error("a line that lacks what its run has is taken for the same")
	}
}
