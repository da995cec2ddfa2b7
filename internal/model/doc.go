// Package model describes a language model without running it: its architecture, its parameters and floating-point
// operations, its memory, and where its files are.
//
// It is the entry point to packages hub (downloads), convert (Hugging Face to GGUF) and gguf (the file format).
// Data flows one way:
//
//	config.json / GGUF header / catalogue ─▶ shape.Config ─▶ Parameters, FLOPs, EstimateBytes
//	                                          │
//	"random:llama-3.1-8b" ──────────── Store.Random ──▶ one GGUF with random weights
//	"./folder", "file.gguf", "org/name" ─ Store.Resolve ─▶ a path an engine can open
//
// # Models without weights
//
// A random model has the real shape of a published model, weights drawn from N(0, 0.02²) and a byte-level
// tokenizer ([ByteTokenizer]): token i is byte i. It needs no network and no licence, so tests, demonstrations and
// first comparisons use it. Energy depends slightly on the operand bits, so the caller tags results from such
// models as synthetic.
//
// # Two file formats
//
// The embedded engine reads GGUF; Python engines read a Hugging Face folder. [Store.Resolve] returns either, and
// generates, converts or downloads what is missing. Every file is written beside its final place and renamed, so
// that an interrupted run leaves nothing half-written under a final name.
//
// All failures that a user can fix are an [*fault.Error].
package model
