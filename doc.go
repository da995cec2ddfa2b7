// Package llem measures how efficiently a language model runs on an inference
// engine: joules per token and per request, split into prefill and decode, beside
// latency, throughput, memory and FLOPs.
//
// It is the library behind the llem program. A study comes from [Load], and [Run]
// makes its runs and gives one [result.StudyResult]; [Open] reads it back from
// disk later.
//
//	s, err := llem.Load(study.Options{Settings: []study.Setting{
//		{Flag: "model", Key: "model", Value: "random:smollm2-135m"},
//	}})
//	r, err := llem.Run(ctx, s, llem.Options{Results: "results"})
//
// Engines run in processes of their own. The embedded engine is this very program
// started again, so a program that uses it calls [WorkerMain] first thing in main.
package llem
