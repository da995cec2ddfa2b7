// Package workload decides what a measured run feeds to an engine: which prompts, how many tokens of each, in
// which order. It does no inference and reads no clock; equal arguments give equal work on every machine, so that
// joules from different engines can be compared.
//
// Text and token ids are made into a [Request] in two ways:
//
//	builtin, a file ─ Load ─▶ Set ─ Select ─▶ []Prompt ─ the model's tokenizer ─ Truncate ─▶ []Request
//	synthetic       ─ Synthetic(n, inputTokens, vocab, seed) ───────────────────────────▶ []Request
//
// [Hash] identifies a list of requests by its token ids. Two runs with the same hash did the same work, whatever
// engine did it.
//
// # Built-in prompts
//
// The folder builtin has a file for each kind of prompt, named after the kind, with one {"prompt": "…"} on each
// line. New prompts are added at the end of a file, or as a file of a new kind. [Set.Select] takes them in the
// order of a seed, and prompts of a user's file in file order.
//
// # Prompt files
//
// A file named .jsonl or .json holds one JSON object per line, blank lines skipped, or one array of objects. A
// file named .csv names its columns in its first line; each row after it is a record of texts. Either may be
// compressed with gzip (.jsonl.gz). Text is UTF-8 and one record is at most 16 MiB. NaN and Infinity, which Python
// writes, are read as null.
//
// The prompt of a record is the first of these fields that is present and not blank: prompt, instruction, text,
// input, question. An instruction is followed by the record's input, and an instruction or a question by its
// context, with an empty line between them. [Set.Notes] reports what was joined, and which fields that could have
// held the prompt were left out: in some data sets the text contains the answer. A record may also have "id" and
// "task" (or "question_id" and "category").
//
// A record with none of these fields may be a conversation, in one of the forms in which such data sets are
// published:
//
//	{"messages": [{"role": "system", "content": "…"}, {"role": "user", "content": "…"}]}
//	{"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}
//	{"turns": ["…", "…"]}
//
// Its prompt is the first turn of the user (or human) that has text. Published files of this kind contain some
// conversations without one; they are left out and counted in [Set.Skipped]. Every other record without a prompt
// is a mistake, and all mistakes of a file are reported together.
package workload
