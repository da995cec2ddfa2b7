package join

import (
	"math"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// late starts the prefills of some requests of the material earlier, by the cost of their shape's first use
// in milliseconds. Each request has its own shape.
func late(m *Material, cost map[int]int64) {
	for i := range m.Requests {
		q := &m.Requests[i]
		q.PromptTokens, q.PromptComputed = promptLen+i, promptLen+i
		m.Given += int64(i)
		q.SubmittedNS -= cost[i] * ms
		q.PrefillStartNS = q.SubmittedNS
	}
}

func told(rec *result.Record, code note.Code) (string, bool) {
	for _, w := range rec.Warnings {
		if w.Code == code {
			return w.Message, true
		}
	}
	return "", false
}

// TestFirstUse: a request that includes a first use is excluded from the latencies, as its row says; its
// tokens and energy count.
func TestFirstUse(t *testing.T) {
	plain, _ := joined(t, handmade(16, 30))
	m := handmade(16, 30)
	late(m, map[int]int64{4: 500})
	rec, rows := joined(t, m)
	l := rec.Latency
	if l.Excluded != 1 || l.TTFT.N != 15 || l.ITL.N != 15*50 || math.Abs(l.TTFT.Max-30) > 1e-9 {
		t.Errorf("%d excluded, TTFT %+v, ITL %+v", l.Excluded, l.TTFT, l.ITL)
	}
	if rec.Tokens.RequestsOK != 16 || rec.Tokens.Output != plain.Tokens.Output ||
		rec.Energy.TotalJ.Value != plain.Energy.TotalJ.Value {
		t.Errorf("tokens %+v, energy %v, want all of %+v, %v", rec.Tokens, rec.Energy.TotalJ.Value, plain.Tokens,
			plain.Energy.TotalJ.Value)
	}
	for i, q := range rows {
		if q.FirstUse != (i == 4) {
			t.Errorf("row %d: first use %v", i, q.FirstUse)
		}
	}
	if msg, _ := told(rec, codes.FirstUse); !strings.HasPrefix(msg, "1 request of 16 was excluded from the latencies") {
		t.Errorf("warning %q", msg)
	}
	if plain.Latency.Excluded != 0 || plain.Latency.TTFT.N != 16 {
		t.Errorf("without: %d excluded of %d", plain.Latency.Excluded, plain.Latency.TTFT.N)
	}
}

// TestManyFirstUses: if more than a quarter of the requests are late, none is excluded.
func TestManyFirstUses(t *testing.T) {
	for n, excluded := range map[int]int{4: 4, 5: 0} {
		m, cost := handmade(16, 30), map[int]int64{}
		for i := range n {
			cost[3*i] = 500
		}
		late(m, cost)
		rec, rows := joined(t, m)
		if rec.Latency.Excluded != excluded || rec.Latency.TTFT.N != 16-excluded {
			t.Errorf("%d late: %d excluded of %d", n, rec.Latency.Excluded, rec.Latency.TTFT.N)
		}
		msg, _ := told(rec, codes.FirstUse)
		if strings.Contains(msg, "excluded from") != (excluded > 0) || msg == "" {
			t.Errorf("%d late: warning %q", n, msg)
		}
		if excluded == 0 && rows[0].FirstUse {
			t.Errorf("%d late: a row is marked as excluded", n)
		}
	}
}
