package convert

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/gguf"
)

// piece is one token of a SentencePiece model.
type piece struct {
	text  string
	score float32
	kind  int32
}

// Fields of sentencepiece_model.proto, and the two wire types that they use besides plain numbers.
const (
	modelPieces = 1
	pieceText   = 1
	pieceScore  = 2
	pieceKind   = 3

	wireBytes = 2
	wire32    = 5
)

// readPieces reads the pieces of a serialized ModelProto and skips everything else.
func readPieces(b []byte) ([]piece, error) {
	var out []piece
	err := eachField(b, func(field, wire uint64, data []byte, _ uint64) error {
		if field != modelPieces || wire != wireBytes {
			return nil
		}
		p := piece{kind: gguf.TokenNormal}
		err := eachField(data, func(field, wire uint64, data []byte, n uint64) error {
			switch {
			case field == pieceText && wire == wireBytes:
				p.text = string(data)
			case field == pieceScore && wire == wire32:
				p.score = math.Float32frombits(uint32(n))
			case field == pieceKind && wire == 0:
				p.kind = int32(n)
			}
			return nil
		})
		out = append(out, p)
		return err
	})
	return out, err
}

var errProto = errors.New("tokenizer.model is not a SentencePiece model")

// eachField calls f for every field of a protocol buffer, with its bytes or its number.
func eachField(b []byte, f func(field, wire uint64, data []byte, n uint64) error) error {
	for len(b) > 0 {
		tag, used := binary.Uvarint(b)
		if used <= 0 || tag>>3 == 0 {
			return errProto
		}
		b = b[used:]
		var data []byte
		var n uint64
		switch wire := tag & 7; wire {
		case 0:
			if n, used = binary.Uvarint(b); used <= 0 {
				return errProto
			}
		case 1:
			used = 8
		case wireBytes:
			size, head := binary.Uvarint(b)
			if head <= 0 || size > uint64(len(b)-head) {
				return errProto
			}
			data, used = b[head:head+int(size)], head+int(size)
		case wire32:
			if used = 4; len(b) >= used {
				n = uint64(binary.LittleEndian.Uint32(b))
			}
		default:
			return errProto
		}
		if used > len(b) {
			return errProto
		}
		b = b[used:]
		if err := f(tag>>3, tag&7, data, n); err != nil {
			return err
		}
	}
	return nil
}

// gemmaControls are control tokens that Gemma's SentencePiece models have as plain text.
const gemmaControls = " <end_of_turn> <start_of_turn> <start_function_declaration> <end_function_declaration> " +
	"<start_function_call> <end_function_call> <start_function_response> <end_function_response> <escape> "

// readSentencePiece reads the tokens of tokenizer.model. special_tokens_map.json also lists control tokens;
// added_tokens.json has tokens that follow them.
func (v *vocabulary) readSentencePiece(dir string, model []byte) error {
	pieces, err := readPieces(model)
	if err != nil {
		return err
	}
	controls, err := additionalSpecials(dir)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		switch p.kind {
		case gguf.TokenUnknown, gguf.TokenControl, gguf.TokenUnused, gguf.TokenByte:
		default:
			p.kind = gguf.TokenNormal
			if strings.Contains(gemmaControls, " "+p.text+" ") || slices.Contains(controls, p.text) {
				p.kind = gguf.TokenControl
			}
		}
		v.add(p.text, p.score, p.kind)
	}
	var added map[string]int
	if _, err := readJSON(dir, "added_tokens.json", &added); err != nil {
		return err
	}
	return v.append(added)
}

// append adds tokens, whose ids must continue the vocabulary or match an existing token.
func (v *vocabulary) append(added map[string]int) error {
	texts := sorted(added)
	slices.SortStableFunc(texts, func(a, b string) int { return added[a] - added[b] })
	for _, text := range texts {
		switch id := added[text]; {
		case id < 0 || id > len(v.tokens):
			return fmt.Errorf("added_tokens.json: token %q has id %d, but there are %d tokens before it", text, id,
				len(v.tokens))
		case id == len(v.tokens):
			v.add(text, -1000, gguf.TokenUser)
		case v.tokens[id] != text:
			return fmt.Errorf("added_tokens.json: token %d is %q, but %q in tokenizer.model", id, text, v.tokens[id])
		}
	}
	return nil
}

// additionalSpecials returns texts that special_tokens_map.json adds to the special tokens.
func additionalSpecials(dir string) ([]string, error) {
	var m struct {
		Additional json.RawMessage `json:"additional_special_tokens"`
	}
	if _, err := readJSON(dir, "special_tokens_map.json", &m); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	_ = json.Unmarshal(m.Additional, &list) // absent, or not a list of tokens
	var texts []string
	for _, raw := range list {
		texts = append(texts, tokenText(raw))
	}
	return texts, nil
}
