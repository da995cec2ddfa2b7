// Package trace reads recorded requests: when they came, how long they were, and which parts of their prompts had been
// seen before. It recognises a file by its contents, not by its name, and the unit of time is fixed for each format:
//
//	azure     CSV: TIMESTAMP,ContextTokens,GeneratedTokens; dates with fractions of seconds, with and without a zone
//	burstgpt  CSV: Timestamp, Request tokens, Response tokens and others; seconds
//	mooncake  JSON lines: timestamp, input_length, output_length, hash_ids; milliseconds; blocks of 512 tokens
//	bailian   JSON lines: chat_id, parent_chat_id, timestamp, input_length, output_length, hash_ids; seconds; blocks
//	          of 16 tokens
//	llem      JSON lines, the first {"llem_trace": 1, "block_tokens": 64}, each other one {"at_s": 1.5, "input": 100,
//	          "output": 20} with session, wait_s and blocks if they are known
//
// A file is read once, line by line; only requests of the wanted span are kept. A value that is missing, absurd or out
// of order is a [LineError].
//
// # Prompts
//
// The recorded prompts are not published. [Trace.Prompt] makes token ids of the recorded length: equal block ids give
// equal tokens, so that prefixes repeat as they did, and a prefix cache works as it did. A request without block ids
// repeats nothing.
package trace
