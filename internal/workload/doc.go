// Package workload decides what a measured run feeds to an engine: which
// prompts, how many tokens of each, in which order. It does no inference and
// reads no clock; equal arguments give equal work on every machine, so that
// joules from different engines can be compared.
//
// Text and token ids take two roads that meet in [Request]:
//
//	builtin, file.jsonl, file.json ─ Load ─▶ Set ─ Select ─▶ []Prompt ─ the model's tokenizer ─ Truncate ─▶ []Request
//	synthetic                      ─ Synthetic(n, inputTokens, vocab, seed) ───────────────────────────▶ []Request
//
// [Hash] names a list of requests by its token ids. Two runs with the same
// hash did the same work, whatever engine did it.
//
// # Prompt files
//
// A file named .jsonl or .json holds one JSON object per line, blank lines
// skipped, or one array of objects. Text is UTF-8 and one record is at most
// 16 MiB.
//
// The prompt of a record is the first of these fields that is present and not
// blank: prompt, text, instruction, input, question. Where the instruction
// wins and the record has an input too, the prompt is both with an empty line
// between them, as instruction data sets mean it. A record may also carry "id"
// and "task".
//
// A record with none of those fields may be a ShareGPT conversation:
//
//	{"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}
//
// Its prompt is the first turn from human or user that has text. Published
// files of this kind hold some conversations without one; they are left out
// and counted in [Set.Skipped]. Every other record without a prompt is a
// mistake, and all mistakes of a file are reported together.
package workload
