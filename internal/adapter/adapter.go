// Package adapter is LoRA adapters for engines that load them from files: what the key lora of their sections says, the
// files that it names, and adapters of random weights at the shape of a model, so that the cost of an adapter can be
// measured without a download.
//
// [Open] reads an adapter folder as peft writes it (adapter_config.json and adapter_model.safetensors, which vLLM and
// SGLang load), or writes one of random weights; [OpenGGUF] does so with a GGUF file, as llama.cpp's
// convert_lora_to_gguf.py writes it: general.type adapter, adapter.type lora, adapter.lora.alpha, and for each matrix
// NAME.lora_a and NAME.lora_b.
//
// A random adapter has matrices for the projections of attention (query, key, value, output). Alpha is its rank, so
// that the product is added unscaled. No weight is zero, and the product is small beside the layer's own.
package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/note"
)

const (
	// Name is what engines that serve adapters beside the model are told to call it.
	Name = "llem-lora"
	// random marks an adapter of random weights; its rank follows.
	random = "random:"
	// configFile and weightsFile are the files of an adapter folder.
	configFile, weightsFile = "adapter_config.json", "adapter_model.safetensors"
)

// Adapter is an adapter that an engine can load. The zero value is none.
type Adapter struct {
	// Asked is the value of the key: random:RANK or a path.
	Asked string
	// Path is the folder or the GGUF file.
	Path string
	// Rank of its matrices; 0 is not known.
	Rank int
	// SHA256 of the weights that a path names.
	SHA256 string

	// own is the folder that was written for it; empty: none.
	own string
}

// Folders are what was written for the adapter, which a container has to see.
func (a Adapter) Folders() []string {
	if a.own == "" {
		return nil
	}
	return []string{a.own}
}

// Remove removes what was written for the adapter.
func (a Adapter) Remove() {
	if a.own != "" {
		os.RemoveAll(a.own)
	}
}

// Describe adds the adapter to the settings that an engine uses, once the engine reports it.
func (a Adapter) Describe(settings map[string]string) {
	settings["lora"] = a.Asked
	if a.Rank > 0 {
		settings["lora_rank"] = strconv.Itoa(a.Rank)
	}
	if a.SHA256 != "" {
		settings["lora_sha256"] = a.SHA256
	}
}

// Missing is the failure of an engine that runs without the adapter that it was given.
func Missing(title, engine string, a Adapter) error {
	return note.Failf(codes.ClassConfig, "look into the engine's log for why, or leave "+engine+".lora out",
		"%s runs without the adapter of %s.lora %s: it would not compute what was asked for", title, engine, a.Asked)
}

// Open returns the adapter that a key of an engine that reads folders names, for the model in a folder.
func Open(key, asked, model string, seed uint64) (Adapter, error) {
	if rank, ok := rankOf(asked); ok {
		return written(asked, rank, func(dir string) (string, error) {
			return dir, writeFolder(key, dir, model, rank, seed)
		})
	}
	rank, err := readConfig(key, asked)
	if err != nil {
		return Adapter{}, err
	}
	sum, err := disk.SumFile(filepath.Join(asked, weightsFile))
	if err != nil {
		return Adapter{}, notFound(key, asked, weightsFile)
	}
	return Adapter{Asked: asked, Path: asked, Rank: rank, SHA256: sum}, nil
}

// OpenGGUF returns the adapter that a key of an engine that reads GGUF files names, for the model in a file.
func OpenGGUF(ctx context.Context, key, asked, model string, seed uint64) (Adapter, error) {
	if rank, ok := rankOf(asked); ok {
		return written(asked, rank, func(dir string) (string, error) {
			file := filepath.Join(dir, "adapter.gguf")
			return file, writeGGUF(ctx, key, file, model, rank, seed)
		})
	}
	rank, err := readGGUF(key, asked, model)
	if err != nil {
		return Adapter{}, err
	}
	sum, err := disk.SumFile(asked)
	if err != nil {
		return Adapter{}, fmt.Errorf("%s: read %s: %w", key, asked, err)
	}
	return Adapter{Asked: asked, Path: asked, Rank: rank, SHA256: sum}, nil
}

// written is an adapter in a folder of its own.
func written(asked string, rank int, write func(dir string) (string, error)) (Adapter, error) {
	dir, err := scratch.Dir("lora")
	if err != nil {
		return Adapter{}, fmt.Errorf("make a folder for the adapter: %w", err)
	}
	path, err := write(dir)
	if err != nil {
		return Adapter{}, errors.Join(err, os.RemoveAll(dir))
	}
	return Adapter{Asked: asked, Path: path, Rank: rank, own: dir}, nil
}

// rankOf is the rank of a random adapter.
func rankOf(asked string) (int, bool) {
	text, ok := strings.CutPrefix(asked, random)
	rank, err := strconv.Atoi(text)
	return rank, ok && err == nil && rank > 0
}

// readConfig reads the rank of an adapter folder of plain LoRA. What only some engines compute of
// it, each refuses itself.
func readConfig(key, dir string) (int, error) {
	file, err := disk.Open(filepath.Join(dir, configFile), disk.MaxSmall)
	if err != nil {
		return 0, notFound(key, dir, configFile)
	}
	defer file.Close()
	var config struct {
		Type string `json:"peft_type"`
		Rank int    `json:"r"`
	}
	if err := json.NewDecoder(io.LimitReader(file, disk.MaxSmall)).Decode(&config); err != nil {
		return 0, &note.Failure{Class: codes.ClassCorruptModel, Err: err,
			Message: key + " " + dir + ": read " + configFile,
			Next:    "save or download the adapter again"}
	}
	if config.Type != "LORA" || config.Rank < 1 {
		return 0, refused(key, dir, "use a LoRA adapter as peft saves it", "its %s has peft_type %q and r %d",
			configFile,
			config.Type, config.Rank)
	}
	return config.Rank, nil
}

func notFound(key, dir, file string) error {
	return note.Failf(codes.ClassModelNotFound, "give the folder of an adapter as peft saves it, or random:RANK",
		"%s %s has no %s", key, dir, file)
}

// refused is the failure of an adapter that is not one of this model.
func refused(key, asked, next, format string, args ...any) error {
	return note.Failf(codes.ClassConfig, next, "%s %s: %s", key, asked, fmt.Sprintf(format, args...))
}
