package verdict

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stored is a study of an earlier day, and gallery one that was stopped, on a GPU.
const (
	stored  = "../../../../testdata/stored/queued"
	gallery = "../../../../bench/results/2026-11-29-h200/gallery.tar.gz"
)

// copied is a copy of the stored study that a test may change. Its summary is left out: it is of a version whose means
// are not used any more.
func copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "study")
	if err := os.CopyFS(dir, os.DirFS(stored)); err != nil {
		t.Fatal(err)
	}
	sums := filepath.Join(dir, "manifest.sha256")
	text, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(l string) bool {
		return strings.Contains(l, "summary.json")
	})
	if err := errors.Join(os.Remove(filepath.Join(dir, "summary.json")),
		os.WriteFile(sums, []byte(strings.Join(lines, "")), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func judged(t *testing.T, dir string) *Verdict {
	t.Helper()
	v, err := Of(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVerdict: a study that holds, and one in which each kind of file has changed.
func TestVerdict(t *testing.T) {
	v := judged(t, copied(t))
	if v.State != Verified || v.Recomputed == 0 || v.Numbers == 0 || len(v.Problems) > 0 || v.Energy["simulated"] == 0 {
		t.Errorf("%+v", v)
	}
	for _, width := range []int{0, 40, 80} {
		text := v.Text(width)
		if !strings.HasPrefix(text, "VERIFIED") || !strings.Contains(text, "SIMULATED") {
			t.Errorf("at %d columns:\n%s", width, text)
		}
	}
	for _, of := range []string{"runs/*/result.json", "runs/*/power.parquet", "env.json", "journal.jsonl"} {
		dir := copied(t)
		files, err := filepath.Glob(filepath.Join(dir, of))
		if err != nil || len(files) == 0 {
			t.Fatal(of, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		at := len(text) / 2
		for ; of != "runs/*/power.parquet" && (text[at] < '1' || text[at] > '8'); at++ {
		}
		text[at]++
		if err := os.WriteFile(files[0], text, 0o600); err != nil {
			t.Fatal(err)
		}
		if v := judged(t, dir); v.State != Differs || len(v.Problems) == 0 {
			t.Errorf("%s has changed: %+v", of, v)
		} else if text := v.Text(80); !strings.HasPrefix(text, "NOT VERIFIED") || !strings.Contains(text, "differs") {
			t.Errorf("%s has changed:\n%s", of, text)
		}
	}
}

// TestPartly: what could not be checked is not called verified.
func TestPartly(t *testing.T) {
	dir, err := Unpack(gallery, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := judged(t, dir)
	if v.State != Partly || v.Recomputed != 21 || v.WithoutNumbers != 2 || v.Complete || v.Energy["measured"] != 8 ||
		!slices.Equal(v.Devices, []string{"NVIDIA H200"}) || v.MeasuredWith == "" {
		t.Errorf("%+v", v)
	}
	if text := v.Text(80); !strings.Contains(text, "not checked 2 runs without numbers") {
		t.Error(text)
	}
	v.Recomputed = 0
	if s := v.state(); s != Nothing {
		t.Errorf("without a number: %s", s)
	}
}

// entry is a file of an archive.
type entry struct {
	name, text string
	kind       byte // of tar
}

func tarball(t *testing.T, entries ...entry) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "study.tar.gz")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.text)), Typeflag: e.kind, Linkname: "/etc/passwd"}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestUnpack: the study in an archive is found below other folders, and has the verdict of its folder.
func TestUnpack(t *testing.T) {
	zipped := filepath.Join(t.TempDir(), "STUDY.ZIP")
	f, err := os.Create(zipped)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	var entries []entry
	from := copied(t)
	err = fs.WalkDir(os.DirFS(from), ".", func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(from, at))
		if err != nil {
			return err
		}
		entries = append(entries, entry{"./some/where/" + at, string(text), tar.TypeReg})
		to, err := w.Create("study/" + at)
		if err != nil {
			return err
		}
		_, err = to.Write(text)
		return err
	})
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, archive := range []string{zipped, tarball(t, entries...)} {
		if !IsArchive(archive) {
			t.Errorf("%s is not taken for an archive", archive)
		}
		dir, err := Unpack(archive, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if v := judged(t, dir); v.State != Verified {
			t.Errorf("%s: %+v", archive, v)
		}
	}
}

// TestBadArchives: an archive that is damaged or wants to write elsewhere is refused with the reason.
func TestBadArchives(t *testing.T) {
	summary := entry{"a/summary.json", "{}", tar.TypeReg}
	cut := tarball(t, summary, entry{"a/journal.jsonl", strings.Repeat("x", 9999), tar.TypeReg})
	text, err := os.ReadFile(cut)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, text[:len(text)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	noZip := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(noZip, []byte("PK no"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ archive, want string }{
		{tarball(t, entry{"../outside", "x", tar.TypeReg}), `"../outside" would be outside`},
		{tarball(t, entry{"/tmp/outside", "x", tar.TypeReg}), "would be outside"},
		{tarball(t, entry{"a/link", "", tar.TypeSymlink}), "is a link or a device"},
		{tarball(t, entry{"a/link", "", tar.TypeLink}), "is a link or a device"},
		{tarball(t, entry{"a/pipe", "", tar.TypeFifo}), "is a link or a device"},
		{tarball(t, entry{"a/readme", "x", tar.TypeReg}), "it holds no study"},
		{tarball(t, summary, entry{"b/summary.json", "{}", tar.TypeReg}), "it holds 2 studies"},
		{cut, "cannot be unpacked"},
		{noZip, "cannot be unpacked"},
	} {
		to := t.TempDir()
		_, err := Unpack(bad.archive, filepath.Join(to))
		wrong, ok := errors.AsType[*ArchiveError](err)
		if !ok || !strings.Contains(wrong.What, bad.want) || wrong.Next == "" {
			t.Errorf("%v, want %s", err, bad.want)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(to), "outside")); err == nil {
			t.Error("it wrote outside of the folder")
		}
	}
}

// TestLargeArchive: an archive that unpacks to more than the limit is refused before it fills the disk.
func TestLargeArchive(t *testing.T) {
	to := t.TempDir()
	root, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	file := tarball(t, entry{"a/one", strings.Repeat("x", 600), tar.TypeReg}, entry{"a/two", strings.Repeat("x", 600),
		tar.TypeReg})
	u := &unpacker{root: root, file: file, left: 1000}
	if err := u.tar(); err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(to, "a/two")); err != nil || info.Size() > 401 {
		t.Errorf("%v bytes, %v", info.Size(), err)
	}
}

// TestWithoutSeries: a study whose raw files were left out is not verified, and not called wrong.
func TestWithoutSeries(t *testing.T) {
	to := t.TempDir()
	_, err := Unpack("../../../../bench/results/2026-11-25-h100/engines/torch-eager-8bit.tar.gz", to)
	if err == nil || !strings.Contains(err.Error(), "it holds 3 studies") {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(filepath.Join(to, "eager", "*"))
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	v := judged(t, dirs[0])
	if v.State != Nothing || v.WithoutSeries != 7 || len(v.Problems) > 0 {
		t.Errorf("%+v", v)
	}
	if text := v.Text(80); !strings.Contains(text, "7 runs whose raw files were left out") {
		t.Error(text)
	}
}

// TestOneRun: the folder of a run is judged by itself.
func TestOneRun(t *testing.T) {
	runs, err := filepath.Glob(filepath.Join(copied(t), "runs", "*-c1"))
	if err != nil || len(runs) == 0 {
		t.Fatal(runs, err)
	}
	v, err := Judge(runs[0])
	if err != nil || v.State != Verified || v.Planned != 1 || v.Recomputed != 1 || v.Energy["simulated"] != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestPipe: a pipe that is named like an archive is refused at once, with what to give.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "study.zip")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Judge(pipe)
	wrong, ok := errors.AsType[*ArchiveError](err)
	if !ok || !strings.Contains(err.Error(), "named pipe") || !strings.Contains(wrong.Next, "regular file") {
		t.Errorf("%v", err)
	}
}
