package gguf

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
)

// Info is what an engine's driver needs to know about a GGUF file.
type Info struct {
	// Vocab is the number of token ids; ids of ordinary text are below TextVocab.
	Vocab, TextVocab int
	// DType is the format of most weights, "" if this package cannot write it.
	DType DType
	// Template reports whether there is a chat template.
	Template bool
}

// ReadInfo reads the header of a GGUF file.
func ReadInfo(path string) (Info, error) {
	h, err := ReadFile(path)
	if err != nil {
		return Info{}, err
	}
	info := Info{Vocab: h.Vocab(), DType: h.DType(), Template: h.Text("tokenizer.chat_template") != ""}
	if info.Vocab < 1 {
		return info, fault.New(codes.ClassCorruptModel, nil, "download or generate it again", "%s has no vocabulary",
			path)
	}
	info.TextVocab = info.Vocab
	types, err := h.tokenTypes(path)
	if err != nil {
		return info, fmt.Errorf("reading the token types of %s: %w", path, err)
	}
	for id, kind := range slices.Backward(types) {
		if kind == TokenNormal || kind == TokenByte {
			info.TextVocab = min(id+1, info.Vocab)
			break
		}
	}
	return info, nil
}

// tokenTypes reads the types of all tokens, which the header omits; nil if the file has none.
func (h Header) tokenTypes(path string) ([]int32, error) {
	const head = 4 + 4 + 8 // the types of the value and of its elements, their number
	for _, s := range h.spans {
		a, ok := h.kv[s.key].(array)
		if s.key != "tokenizer.ggml.token_type" || !ok || a.kind != typeInt32 && a.kind != typeUint32 {
			continue
		}
		f, err := disk.Open(path, disk.Unbounded)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		b := make([]byte, s.to-s.from)
		if _, err := f.ReadAt(b, s.from); err != nil {
			return nil, err
		}
		types := make([]int32, a.n)
		for i := range types {
			types[i] = int32(binary.LittleEndian.Uint32(b[head+4*i:]))
		}
		return types, nil
	}
	return nil, nil
}
