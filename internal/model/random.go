package model

import (
	"context"
	"path/filepath"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/shape"
)

// WriteGGUF writes a model of the given shape with random weights to path: first to a temporary file in the same
// folder, then renamed, so that path either holds a whole model or is untouched. The same shape, dtype and seed
// give the same bytes. progress, which may be nil, receives the bytes written so far, from several goroutines but
// never concurrently.
func WriteGGUF(ctx context.Context, path string, shape shape.Config, dtype gguf.DType, seed uint64,
	progress func(done, total int64)) error {
	if err := checkWritable(shape); err != nil {
		return err
	}
	dtype, err := gguf.ParseDType(string(dtype))
	if err != nil {
		return err
	}
	draw, tensors := drawer{seed}, shape.Tensors(dtype)
	f := gguf.File{Meta: ggufKV(shape, dtype, ggufName(path)), Tensors: plain(tensors), Progress: progress}
	f.Fill = func(dst []byte, i int, first int64) error {
		draw.fill(dst, tensors[i], first)
		return nil
	}
	return f.Write(ctx, path)
}

// plain lists what the file format needs of the tensors.
func plain(tensors []shape.Tensor) []gguf.Tensor {
	out := make([]gguf.Tensor, len(tensors))
	for i, t := range tensors {
		out[i] = t.Tensor
	}
	return out
}

func ggufName(path string) string {
	base := filepath.Base(path)
	return base[:len(base)-len(filepath.Ext(base))]
}

// checkWritable reports whether the embedded engine can run the shape at all.
func checkWritable(c shape.Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	switch {
	case c.Layout != nil, c.Arch == shape.ArchPhi3, c.Arch == shape.ArchLlama && c.Experts > 0:
		return fault.New(codes.ClassUnsupportedModel, nil,
			"use a llama, qwen2, qwen3, gemma2 or gemma3 shape, or a Python backend",
			"the embedded engine cannot run this %s model", c.Arch)
	case c.Vocab < firstFiller:
		return shape.BadConfig("vocabulary of %d, but 256 bytes and 3 control tokens need %d", c.Vocab, firstFiller)
	}
	return nil
}
