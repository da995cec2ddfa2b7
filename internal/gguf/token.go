package gguf

// Types of tokens in the list tokenizer.ggml.token_type.
const (
	TokenNormal  int32 = 1 + iota
	TokenUnknown       // represents text that has no token
	TokenControl       // such as the beginning of a text; never part of one
	TokenUser          // added to the vocabulary by the model's user
	TokenUnused
	TokenByte // one byte of text, written <0x41>
)
