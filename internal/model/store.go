package model

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

// formatVersion is part of every cache name. Raise it when a shape and seed give other bytes, so that older files
// are not mistaken for new ones.
const formatVersion = 1

// convertVersion is the same for files converted from a Hugging Face folder.
const convertVersion = 3

// Store is the folder of generated and converted models. Several processes may use it at once. The zero Store uses
// [DefaultCacheDir].
type Store struct{ Dir string }

// Location is a file or folder in the store.
type Location struct {
	Path    string
	Bytes   int64
	Created bool          // created by this call
	Took    time.Duration // how long that took, including the wait for another process
}

// DefaultCacheDir returns $LLEM_CACHE, or llem inside the user's cache folder.
func DefaultCacheDir() (string, error) {
	if dir := os.Getenv("LLEM_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fault.New(codes.ClassPermission, err, "set LLEM_CACHE to a folder with space for models",
			"there is no cache folder")
	}
	return filepath.Join(dir, "llem"), nil
}

func (s Store) dir(parts ...string) (string, error) {
	dir := s.Dir
	if dir == "" {
		var err error
		if dir, err = DefaultCacheDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(append([]string{dir}, parts...)...), nil
}

// Random returns the GGUF file of a shape with random weights, and generates it if it does not exist.
func (s Store) Random(ctx context.Context, shape shape.Shape, dtype gguf.DType, seed uint64,
	progress func(done, total int64)) (Location, error) {
	dtype, err := gguf.ParseDType(string(dtype))
	if err != nil {
		return Location{}, err
	}
	name := fmt.Sprintf("random-%s-%s-s%d-v%d.gguf", shape.Name, dtype, seed, formatVersion)
	path, err := s.dir("models", name)
	if err != nil {
		return Location{}, err
	}
	return once(ctx, path, usableGGUF, func() error {
		return WriteGGUF(ctx, path, shape.Config, dtype, seed, progress)
	})
}

// RandomHF returns the Hugging Face folder of a shape: configuration and tokenizer, from which a Python engine
// builds its own random weights.
func (s Store) RandomHF(ctx context.Context, shape shape.Shape, dtype gguf.DType) (Location, error) {
	dtype, err := gguf.ParseDType(string(dtype))
	if err != nil {
		return Location{}, err
	}
	path, err := s.dir("models", fmt.Sprintf("random-%s-%s-v%d", shape.Name, dtype, formatVersion))
	if err != nil {
		return Location{}, err
	}
	return once(ctx, path, usableFolder, func() error { return WriteHFDir(path, shape.Config, dtype) })
}

func usableGGUF(path string) bool {
	_, err := gguf.ReadFile(path)
	return err == nil
}

func usableFolder(path string) bool {
	_, err := shape.FromHFFolder(path)
	return err == nil
}

// once creates path with build unless usable reports that it exists. Only one process at a time does so.
func once(ctx context.Context, path string, usable func(string) bool, build func() error) (Location, error) {
	start := time.Now()
	created := false
	if !usable(path) {
		unlock, err := disk.Lock(ctx, path+".lock")
		if err != nil {
			return Location{}, err
		}
		defer unlock()
		if !usable(path) { // another process may just have created it
			disk.RemoveLeftovers(path)
			if err := build(); err != nil {
				return Location{}, err
			}
			created = true
		}
	}
	size, err := treeSize(path)
	if err != nil {
		return Location{}, fmt.Errorf("measuring %s: %w", path, err)
	}
	return Location{Path: path, Bytes: size, Created: created, Took: time.Since(start)}, nil
}

// treeSize returns the size of a file, or of all files in a folder.
func treeSize(path string) (int64, error) {
	var n int64
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := os.Stat(p) // snapshots are symbolic links
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		n += st.Size()
		return nil
	})
	return n, err
}
