package study

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// When an engine is started anew.
const (
	// RestartNeeded lets an engine serve runs that follow each other and differ only
	// in what it can change while its model stays loaded.
	RestartNeeded = "needed"
	// RestartAlways gives every run an engine of its own, so that the spread between
	// runs holds what differs between two starts.
	RestartAlways = "always"
)

// EngineKey names the engine that an experiment needs. One engine can serve
// experiments with the same key, one after the other, without loading its model again:
// they differ only in prompts, in what is measured around them, and where the engine
// can change it in batch size and length.
func (e Experiment) EngineKey() string {
	e = e.own()
	length := e.Workload.InputTokens + e.Workload.OutputTokens
	e.Workload, e.Decoding, e.Warmup, e.Baseline, e.Energy = Workload{}, Decoding{}, Warmup{}, Baseline{}, Energy{}
	switch e.Backend {
	case PyTorch:
		section := *e.PyTorch
		section.BatchSize = 0
		e.PyTorch = &section
	case Fake:
		e.Fake = nil
	default: // the KV cache is laid out when the engine starts
		e.Workload.InputTokens = length
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("marshal experiment: %v", err)) // finite numbers and strings marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
