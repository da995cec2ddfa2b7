package atload

import (
	"slices"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestStalled: an engine that stops working is told from one that is slow, that is cut while it answers, and that
// answered everything.
func TestStalled(t *testing.T) {
	const s = int64(time.Second)
	done := func(at, first, end int64) backend.Request {
		return backend.Request{ArrivedNS: at, SubmittedNS: at, FirstTokenNS: first, EndNS: end,
			TokenNS: []int64{first, end}, OK: true}
	}
	cut := func(at int64, tokens ...int64) backend.Request {
		q := backend.Request{ArrivedNS: at, SubmittedNS: at, EndNS: 100 * s, TokenNS: tokens, Cut: true}
		if len(tokens) > 0 {
			q.FirstTokenNS = tokens[0]
		}
		return q
	}
	for name, q := range map[string]struct {
		requests []backend.Request
		stalled  bool
	}{
		"stopped within answers":  {[]backend.Request{done(s, 2*s, 3*s), cut(2*s, 3*s, 6*s), cut(7 * s)}, true},
		"never began":             {[]backend.Request{cut(s), cut(20 * s)}, true},
		"answers until the end":   {[]backend.Request{done(s, 2*s, 3*s), cut(2*s, 3*s, 99*s), cut(7 * s)}, false},
		"everything was answered": {[]backend.Request{done(s, 2*s, 3*s), done(4*s, 5*s, 6*s)}, false},
		"idle, then cut early":    {[]backend.Request{done(s, 2*s, 3*s), cut(95 * s)}, false},
		"long prompts":            {[]backend.Request{done(s, 40*s, 41*s), cut(2 * s)}, false},
		"the last one not sent": {[]backend.Request{done(s, 2*s, 3*s),
			{ArrivedNS: 4 * s, EndNS: 100 * s, Cut: true}}, false},
	} {
		var told []note.Code
		Run{Start: s, End: 100 * s, Requests: q.requests}.Stalled(func(code note.Code, _ string) {
			told = append(told, code)
		})
		if slices.Contains(told, codes.LoadStalled) != q.stalled {
			t.Errorf("%s: told %v", name, told)
		}
	}
}
