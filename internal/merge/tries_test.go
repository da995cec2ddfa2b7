package merge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// TestTriesOfSeveralFolders: tries of one run in several folders are numbered on; a try that counts in the new folder
// is not kept a second time.
func TestTriesOfSeveralFolders(t *testing.T) {
	t.Parallel()
	s := testStudy(1, 2)
	id := s.Experiments[0].ID()
	var dirs []string
	for i := range 2 {
		f := newFolderOf(t, s, onNode("1"))
		f.put(f.dir, 0, i+1, float64(i+1))
		dirs = append(dirs, f.close())
		old := filepath.Join(dirs[i], result.RunsDir, id+"-c1.try1")
		if err := os.CopyFS(old,
			os.DirFS(filepath.Join(dirs[i], result.RunsDir, id+"-c"+string(rune('1'+i))))); err != nil {
			t.Fatal(err)
		}
		manifest := filepath.Join(old, store.ManifestFile)
		if err := os.WriteFile(manifest, []byte(strings.Repeat("x", i+1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	counts := filepath.Join(dirs[1], result.RunsDir, id+"-c1.try2") // a copy of the run that counts
	if err := os.CopyFS(counts, os.DirFS(filepath.Join(dirs[0], result.RunsDir, id+"-c1"))); err != nil {
		t.Fatal(err)
	}
	_, target := merged(t, dirs...)
	entries, err := os.ReadDir(filepath.Join(target, result.RunsDir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimPrefix(e.Name(), id))
	}
	if want := []string{"-c1", "-c1.try1", "-c1.try2", "-c2"}; !slices.Equal(names, want) {
		t.Errorf("runs %v, want %v", names, want)
	}
	text, err := os.ReadFile(filepath.Join(target, result.RunsDir, id+"-c1.try2", store.ManifestFile))
	if err != nil || string(text) != "xx" {
		t.Errorf("the second try has the manifest %q, %v, want the one of the second folder", text, err)
	}
}

// TestTargetInside: a folder to merge is not the place of the new one.
func TestTargetInside(t *testing.T) {
	t.Parallel()
	dirs := shards(t, testStudy(1, 2), 2)
	_, err := Merge(t.Context(), Options{Dirs: dirs, Target: filepath.Join(dirs[0], "all"), Now: time.Now()})
	if err == nil || !strings.Contains(err.Error(), "is inside of") {
		t.Errorf("%v, want a refusal", err)
	}
}

// TestTwoDivisions: shards of two divisions are merged without a number of shards.
func TestTwoDivisions(t *testing.T) {
	t.Parallel()
	s := testStudy(1, 2)
	_, target := merged(t, shards(t, s, 2)[0], shards(t, s, 3)[1])
	m, err := shard.ReadMerged(target)
	if err != nil || m == nil || m.Of != 0 {
		t.Errorf("%+v, %v, want no number of shards", m, err)
	}
}
