// Package model knows what a language model is without running it: its
// architecture, how many parameters and floating-point operations that means,
// how much memory it takes, and where its files are.
//
// It is the door to packages hub (downloads), convert (Hugging Face to GGUF) and
// gguf (the file format). The pieces flow one way:
//
//	config.json / GGUF header / catalogue ─▶ shape.Config ─▶ Parameters, FLOPs, EstimateBytes
//	                                          │
//	"random:llama-3.1-8b" ──────────── Store.Random ──▶ one GGUF with random weights
//	"./folder", "file.gguf", "org/name" ─ Store.Resolve ─▶ a path an engine can open
//
// # Models without weights
//
// A random model has the real shape of a published model, weights drawn from
// N(0, 0.02²) and a byte-level tokenizer ([ByteTokenizer]): token i is byte i.
// It needs no network and no licence, so it is what tests, demonstrations and
// first comparisons run. Energy depends slightly on the operand bits, so
// results from such models are tagged synthetic by the caller.
//
// # Two file formats
//
// The embedded engine reads GGUF; Python engines read a Hugging Face folder.
// [Store.Resolve] gives either, and generates, converts or downloads what is
// missing. Everything is written beside its final place and renamed, so that
// an interrupted run leaves nothing half-written under a final name.
//
// All failures that a user can do something about are an [*fault.Error].
package model
