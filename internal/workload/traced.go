package workload

import (
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/load/trace"
)

// LoadTrace reads the recorded requests of a file, which may be compressed with gzip.
func LoadTrace(path string, o trace.Options) (*trace.Trace, error) {
	f, err := disk.Open(path, maxTrace)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close() // read only: nothing is lost
	text, err := unpacked(f, strings.HasSuffix(strings.ToLower(filepath.Base(path)), gzExt))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return trace.Read(text, path, o)
}

// maxTrace bounds the file of a trace in bytes: it is read line by line.
const maxTrace = 64 << 30

// Recorded returns the requests of a trace with token ids of the recorded lengths. Equal blocks of the trace give equal
// tokens, see [trace.Trace.Prompt].
func Recorded(t *trace.Trace, vocab Vocab, seed uint64) []Request {
	ids := vocab.ordinary()
	out := make([]Request, len(t.Requests))
	for i := range out {
		out[i] = Request{ID: i, Tokens: t.Prompt(i, ids, seed), Task: t.Format}
	}
	return out
}

// Share gives all requests the first n tokens of the first one. Shorter requests take as many as they have.
func Share(reqs []Request, n int) []Request {
	out := make([]Request, len(reqs))
	for i, q := range reqs {
		tokens := append([]int32(nil), q.Tokens...)
		copy(tokens[:min(n, len(tokens))], reqs[0].Tokens)
		out[i] = Request{ID: q.ID, Tokens: tokens, Task: q.Task}
	}
	return out
}
