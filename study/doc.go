// Package study turns a YAML file and command-line settings into the list of experiments to run.
//
// A study file is a tree of known keys. Every key that describes an experiment has a dotted name
// (workload.prompts, pytorch.batch_size) and is in one table with its type, range and meaning; the same table
// serves the file, --set KEY=VALUE, the sweep, its conditions and the JSON Schema. A value of the wrong type and
// an unknown or doubled key are never ignored: all mistakes of all sources are reported together, with their
// position, the nearest valid key and the next step.
//
//	name: batch-sizes
//	model: random:smollm2-135m
//	backend: embedded
//	dtype: float16
//	workload: {dataset: builtin, prompts: 8, input_tokens: 128, output_tokens: 64}
//	sweep:
//	  embedded.batch_size: [1, 4]
//	execution: {cycles: 3}
//
// The file is read by a reader into a layer: fixed values, axes, links, conditions, explicit points and the
// execution section. Base files and settings are further layers; the builder merges them, and an expansion makes
// the points.
//
// # Sweep
//
// The keys of sweep make a product, in the order of the file, the last one changing fastest.
//
//   - An axis is a key with a value, a range, or a list of both:
//     dtype: [float16, bfloat16], embedded.batch_size: 8..512*2, seed: 1..9+2,
//     warmup.runs: [0, 2..4], baseline.seconds: 0.5..1.5+0.5. A range includes its
//     last value if a step hits it, and is counted in exact decimals.
//   - groups holds named lists of maps that set several keys together. {} changes
//     nothing. A list or range inside an entry is a small product of its own. A group
//     is one axis of the study. An entry may name a backend, and then applies to it
//     only; the study runs that backend even if its key backend does not list it.
//   - zip holds axes that advance together, as maps of keys with lists of one length,
//     or as lists of keys that are axes of the sweep.
//   - link gives keys the value of an expression, usually another key:
//     vllm.max_num_seqs: pytorch.batch_size. An axis on which a link depends is also an
//     axis for the backend of the linked key.
//   - where holds conditions that every point of the product must meet.
//
// The product is made separately for each backend of the study. A key of a backend's section (embedded.…,
// pytorch.…) is an axis for that backend only, a condition with such keys applies to that backend only, and an
// experiment has no sections of other backends. Keys that no backend of the study has are listed in Study.Unused.
// A key may be in one axis, group, zip or link only.
//
// # Expressions
//
// Conditions and links consist of numbers, "texts" and 'texts', true and false, dotted keys, and batch, the batch
// size of the point's own backend. Operators, from weak to strong: or; and; not; == != < <= > >=, in (A, B), not
// in (A, B); + -; * / %; a leading -. Numbers are compared with numbers and texts with texts; comparing a key with
// a word that it never has is a mistake. Division by zero makes a point invalid. An expression has no side
// effects.
//
// # Points
//
// experiments is a list of maps, each one experiment over the fixed values of the file. It is added to the sweep's
// points, or replaces them if there is no axis. The keys of sweep do not change it. An entry without a backend
// runs on every backend of the study that has the keys it sets. An entry may have the id that Study.YAML wrote,
// which is then checked; so a frozen study can be run again.
//
// Points whose values do not fit together are left out and listed with their reason in Study.Invalid; if no other
// point is left, the reasons are mistakes. Equal points are merged and listed in Study.Duplicates. Points that the
// conditions leave out are counted in Study.Filtered.
//
// # Base files and settings
//
// base names one or several study files, by paths relative to the file that names them. They are read first, in
// order, and each file is laid over them: mappings merge, lists replace, and groups merge by name. A fixed value
// also removes the axis, zip or link that an earlier file made of its key; within one file, an axis overrides the
// fixed value of its key. The only way to unset a key is to give it a value: null is a mistake everywhere. where,
// zip and experiments may be empty lists.
//
// Settings on the command line come last. They override their key wherever it is set, also in groups and explicit
// points, and apply to every point: a list or range makes an axis over explicit points as well. A later setting
// replaces an earlier one. sweep.where=CONDITION adds a condition, sweep.zip=KEY,KEY joins axes, and
// sweep.link.KEY=EXPRESSION adds a link. A setting of backend leaves out the points of other backends.
//
// # Values
//
// The key determines the type of a value. A whole number may be written as 1000, 1000.0 or 1e3: its exact value
// counts. Other spellings on which YAML's versions disagree are mistakes with a hint: 010, 0x10, 0o10, 1_000,
// 1:30, yes, no, on, off, .nan, .inf, and numbers in quotes. Texts are taken literally. Anchors and aliases work;
// merge keys (<<), tags, a second document, tabs as indentation and encodings other than UTF-8 are refused. A byte
// order mark and CR LF line ends do no harm.
//
// # Execution
//
// The section execution sets how often, in which order and within which limits the experiments run; see
// [Execution]. A profile sets the keys that no source gives: quick is one cycle without gaps; standard is three
// cycles with gaps by condition; publication is five cycles or more with gaps by condition, until energy per
// output token is known to 2 %. Explicit keys take precedence, in any source.
//
// # Identity
//
// An experiment's ID is a hash of its meaning: a value left out and a value that equals the default are the same,
// as are 1 and 1.0. The order of keys, what results are converted to (price, carbon, PUE), remote pages, names and
// the execution section have no effect. Everything else does.
package study
