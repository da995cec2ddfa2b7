package doctor

import (
	"context"

	"github.com/llenergymeasure/llem/internal/clientaudit"
	"github.com/llenergymeasure/llem/internal/codes"
)

// client measures how exact the client of server engines is. The error is the cause of ctx.
func (t *tester) client(ctx context.Context) error {
	if t.Client == nil {
		return nil
	}
	t.say("the client of server engines, against a server that knows its times (1.2 s)")
	c, err := t.Client(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		t.failed("client of server engines", "", err)
	}
	t.report.Client = c
	return nil
}

// judgeClient reports what the client adds to the latencies of servers.
func (r *Report) judgeClient() {
	switch c := r.Client; {
	case c == nil:
	case clientaudit.Exact(c):
		r.find(Good, codes.ClientAudit, "", "", "%s", clientaudit.Sentence(c))
	default:
		r.find(Warn, codes.ClientAudit, "", clientaudit.Next+", and run llem doctor again",
			"%s: this machine is too busy for exact latencies", clientaudit.Sentence(c))
	}
}
