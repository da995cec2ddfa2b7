package model

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/convert"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

// convert returns the GGUF file made from a Hugging Face folder with its matrices in dtype ("" keeps the stored
// type). It converts the folder if that has not been done or the folder has changed since.
func (s Store) convert(ctx context.Context, dir string, dtype gguf.DType, progress func(done, total int64)) (Location,
	error) {
	config := filepath.Join(dir, "config.json")
	raw, err := disk.ReadFile(config, disk.MaxSmall)
	if _, odd := errors.AsType[*disk.OddFileError](err); odd {
		return Location{}, disk.ReadError(config, err)
	}
	if err != nil {
		return Location{}, fault.New(codes.ClassModelNotFound, err, "name a Hugging Face model folder",
			"cannot read the configuration of %s", dir)
	}
	if err := convert.Check(dir); err != nil {
		return Location{}, fmt.Errorf("converting %s: %w", dir, err)
	}
	stamp, err := folderStamp(dir, raw)
	if err != nil {
		return Location{}, err
	}
	path, err := s.dir("models",
		fmt.Sprintf("%s-%s-%s-v%d.gguf", filepath.Base(dir), stamp, cmp.Or(string(dtype), "stored"), convertVersion))
	if err != nil {
		return Location{}, err
	}
	return once(ctx, path, usableGGUF, func() error {
		o := convert.Options{DType: dtype, Progress: progress}
		o.RopeTheta, o.RopeLocalTheta = shape.RopeBases(raw)
		return convert.Folder(ctx, dir, path, o)
	})
}

// folderStamp identifies the content of a folder: its configuration, and name,
// size and time of each file.
func folderStamp(dir string, config []byte) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fault.New(codes.ClassPermission, err, "check that you may read it", "cannot list %s", dir)
	}
	h := sha256.New()
	h.Write(config)
	for _, e := range entries {
		st, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || st.IsDir() {
			continue
		}
		fmt.Fprintf(h, "%q %d %d\n", e.Name(), st.Size(), st.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}
