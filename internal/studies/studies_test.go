package studies

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/result"
)

// TestNewestUnfinished: the newest study that has runs left counts, whatever the names of the folders are.
func TestNewestUnfinished(t *testing.T) {
	root := t.TempDir()
	for i, name := range []string{"b", "c", "a"} {
		dir := filepath.Join(root, name)
		at := time.Unix(1_700_000_000+int64(i), 0)
		path := filepath.Join(dir, StudyFile)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(path, []byte("x"), 0o600),
			os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a", "c", "b"} {
		got, err := Unfinished(root, false)
		if err != nil || filepath.Base(got) != want {
			t.Fatalf("%s, %v, want %s", got, err, want)
		}
		text := fmt.Appendf(nil, `{"schema_version":%d,"complete":true,"failed":1}`, result.SchemaVersion)
		if err := os.WriteFile(filepath.Join(got, result.SummaryFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Unfinished(root, false); err == nil {
		t.Errorf("%s, though all are complete", got)
	}
	if got, err := Unfinished(root, true); err != nil || filepath.Base(got) != "a" {
		t.Errorf("%s, %v: runs that failed are left to be made again", got, err)
	}
}
