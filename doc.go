// Package llem measures how efficiently a language model runs on an inference
// engine: joules per token and per request, split into prefill and decode, beside
// latency, throughput, memory and FLOPs.
//
// It is the library behind the llem program. Two functions do the work: [LoadFile]
// reads a study (package study makes one without a file), and [Run] makes its runs
// and returns a [result.StudyResult].
//
//	func main() {
//		llem.WorkerMain()
//		s, err := llem.LoadFile("study.yaml")
//		if err != nil {
//			log.Fatal(err)
//		}
//		r, err := llem.Run(context.Background(), s, llem.Options{})
//		…
//	}
//
// Engines run in processes of their own. Those that are part of this module are the
// program started again, so main calls [WorkerMain] first. [Plan] and [DryRun] tell
// what a study will do, [Doctor] tests the power sensors, and [Open] reads results
// back from disk.
package llem
