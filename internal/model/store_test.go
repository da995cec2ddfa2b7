package model

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

func TestStoreGeneratesOnce(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	shape, _ := shape.Lookup("tiny-llama")
	var wg sync.WaitGroup
	var mu sync.Mutex
	created := 0
	paths := map[string]bool{}
	for range 4 {
		wg.Go(func() {
			loc, err := s.Random(context.Background(), shape, gguf.Float16, 1, nil)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			paths[loc.Path] = true
			if loc.Created {
				created++
			}
		})
	}
	wg.Wait()
	if created != 1 || len(paths) != 1 {
		t.Errorf("created %d times at %v", created, paths)
	}
	other, err := s.Random(context.Background(), shape, gguf.Float16, 2, nil)
	if err != nil || paths[other.Path] || !other.Created {
		t.Errorf("another seed: %+v, %v", other, err)
	}
}

func TestStoreRepairsDamage(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	shape, _ := shape.Lookup("tiny-llama")
	loc, err := s.Random(context.Background(), shape, gguf.Q8_0, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(loc.Path, loc.Bytes/2); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(filepath.Dir(loc.Path), "."+filepath.Base(loc.Path)+".tmp-123")
	if err := os.WriteFile(left, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := s.Random(context.Background(), shape, gguf.Q8_0, 1, nil)
	if err != nil || !again.Created || again.Bytes != loc.Bytes {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("the temporary file of a killed process is still there")
	}
}

func TestStoreRandomHF(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	shape, _ := shape.Lookup("tiny-gemma3")
	for i := range 2 {
		loc, err := s.RandomHF(context.Background(), shape, gguf.BFloat16)
		if err != nil || loc.Created != (i == 0) || loc.Bytes == 0 {
			t.Errorf("%+v, %v", loc, err)
		}
	}
}

func TestStoreLockHonoursContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	unlock, err := disk.Lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := disk.Lock(ctx, path); fault.Class(err) != codes.ClassInterrupted {
		t.Errorf("%v", err)
	}
}

func TestDefaultCacheDir(t *testing.T) {
	t.Setenv("LLEM_CACHE", "/some/where")
	if d, err := DefaultCacheDir(); err != nil || d != "/some/where" {
		t.Errorf("%s, %v", d, err)
	}
	t.Setenv("LLEM_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	if d, err := DefaultCacheDir(); err != nil || d != "/xdg/llem" {
		t.Errorf("%s, %v", d, err)
	}
}
