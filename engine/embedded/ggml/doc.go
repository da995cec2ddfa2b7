// Package ggml is the process of the embedded engine: Ollama's Go packages over ggml, which
// are C++ and take minutes to compile. Only a program's worker needs it; what the rest of
// the program knows about the engine is in package core.
package ggml
