package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
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
	f, err := os.Open(filepath.Join(repository, "bench/results/2026-11-29-h200/gallery.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "llama-batch-precision")
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name)) // of this repository
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestGallery draws the figures of docs/gallery from the stored study, and compares them to the last byte.
func TestGallery(t *testing.T) {
	t.Parallel()
	study, out := gallery(t), t.TempDir()
	for _, kind := range picture.Kinds() {
		file := filepath.Join(out, kind+".svg")
		if code, _, stderr := llemMain(t, "plot", study, kind, "-o", file); code != 0 {
			t.Errorf("plot %s: exit %d\n%s", kind, code, stderr)
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept := filepath.Join(repository, "docs/gallery", kind+".svg")
		if *updateDocs {
			if err := os.WriteFile(kept, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs: run with -update and look at it", kept)
		}
	}
	page := filepath.Join(out, "report.html")
	if code, _, stderr := llemMain(t, "report", study, "--html", page); code != 0 {
		t.Fatalf("report --html: exit %d\n%s", code, stderr)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	galleryReport(t, bytes.ReplaceAll(text, []byte(study), []byte("llama-batch-precision")))
}

var (
	packedData = regexp.MustCompile(`"data":"[^"]*"`) // compressed: a version of Go may do it otherwise
	generator  = regexp.MustCompile(`<meta name="generator"[^>]*>`)
)

// galleryReport compares a page with the report of docs/gallery, line by line: all but the version of the program.
func galleryReport(t *testing.T, text []byte) {
	t.Helper()
	kept := filepath.Join(repository, "docs/gallery/report.html")
	if *updateDocs {
		if err := os.WriteFile(kept, text, 0o600); err != nil {
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
	for _, section := range []string{"configurations", "pareto", "joules", "times", "power", "course", "compare",
		"doubts",
		"how"} {
		if !strings.Contains(string(text), `<section id="`+section+`"`) {
			t.Errorf("the page has no section %s", section)
		}
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
