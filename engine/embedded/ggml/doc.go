// Package ggml is the process of the embedded engine: Ollama's Go packages over ggml, which are C++ and take
// minutes to compile. Only the worker of a program needs it; the rest of the program uses package core.
package ggml
