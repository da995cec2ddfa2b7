// Package result reads what runs and studies leave on disk: a [Record] for each run, a [StudyResult] for the
// study, configurations over their cycles, and the metrics for comparing them. llem.Open reads the folder of
// a study, even if the study is still running.
//
//	results/<study>-<UTC time>/
//	  study.yaml      the resolved study, frozen at the start; its first line has the number of
//	                  its experiments and the SHA-256 sum of the other lines
//	  env.json        snapshot of the machine
//	  inputs.json     hashes of the data sets and models that are files; shard.json, merged.json: docs/cluster.md
//	  journal.jsonl   one fsynced line per finished run: the run in brief, the SHA-256 sum of its
//	                  manifest (manifest_sha256), and the sum of the line before this last key
//	                  (line_sha256)
//	  journal-<worker>.jsonl, workers/, claims/
//	                  of a study that several workers execute, for docs/cluster.md
//	  runs/<id>-c<cycle>/
//	    result.json       every number with its unit in the name (type Record)
//	    power.parquet     the power series (type series.Power)
//	    telemetry.parquet temperature, clocks, memory (type series.Telemetry)
//	    requests.parquet  one row per request (type series.Request)
//	    steps.parquet     one row per engine step (type series.Step)
//	    counters.parquet  readings of the energy counters (type series.Counter)
//	    engine.log        the output of the engine
//	    manifest.sha256   the sums of the other files, for sha256sum -c
//	  live-*.state    what a running process does, for docs/serve.md; removed at its end
//	  summary.json    written last; can be rebuilt from runs/
//	  manifest.sha256 the sums of the JSON files beside it
//
// A run's folder is written under a temporary name and renamed when it is complete; only then is its line
// appended to the journal. A crash repeats at most one run and never leaves half of one. Folders of earlier
// versions have no sums and can still be read. JSON numbers that were not measured are null, with the reason
// beside them.
package result
