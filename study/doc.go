// Package study turns a YAML file and command-line settings into the list of
// experiments to run.
//
// A study file is a tree of known keys. Every key that describes an experiment
// has a dotted name (workload.prompts, pytorch.batch_size) and stands in one
// table with its type and range; the same table serves the file, --set
// KEY=VALUE and the sweep. A value of the wrong type, an unknown or a doubled
// key is never ignored: all mistakes of all sources are reported together, with
// their position and the nearest valid key.
//
//	name: batch-sizes
//	model: random:smollm2-135m
//	backend: embedded
//	dtype: float16
//	workload: {dataset: builtin, prompts: 8, input_tokens: 128, output_tokens: 64}
//	sweep:
//	  embedded.batch_size: [1, 4]      # a list, or a range such as 1..8*2 or 1..9+2
//	execution: {cycles: 3, order: interleave}
//
// The sweep is the product of its axes, in the order of the file, the last one
// changing fastest. A key of a backend's section (embedded.…, pytorch.…) is an
// axis for that backend only; sections of other backends are dropped from an
// experiment. Equal experiments are merged.
//
// An experiment's ID is a hash of its meaning: values left out and values that
// equal the default are the same, and the order of keys does not matter.
package study
