// Package llem measures the efficiency of language model inference: joules per token and per request, split
// into prefill and decode, together with latency, throughput, memory and FLOPs.
//
// It is the library of the llem program. Two functions do the work: [LoadFile] reads a study (package study
// builds one without a file), and [Run] measures its configurations and returns a [result.StudyResult].
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
// Engines run in separate processes. Engines that are part of this module are the same program started again,
// so main must call [WorkerMain] first. [Plan] and [DryRun] show what a study will do, [Doctor] tests the
// power sensors, and [Open] reads stored results.
package llem
