package doctor_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/load"
)

// TestClient: what the report tells about the client of server engines.
func TestClient(t *testing.T) {
	good := load.Client{Streams: 64, Rate: 500, SendLagP50US: 28, SendLagP99US: 77, SendLagMaxUS: 200,
		TTFTErrorUS: 23, TTFTErrorP99US: 60, ITLErrorP50US: 0.4, ITLErrorP99US: 12, CPUSPerMillion: 16}
	late, wrong := good, good
	late.SendLagP99US, wrong.TTFTErrorUS = 2000, -1500
	for _, c := range []struct {
		name   string
		client *load.Client
		err    error
		want   string
	}{
		{"exact", &good, nil, "ok    the client of server engines with 64 streams: times to the first token are " +
			"wrong by 23.0 µs on average (p99 60.0 µs), times between tokens by 400 ns at the median"},
		{"late", &late, nil, "warn  the client"},
		{"wrong", &wrong, nil, "this machine is too busy for exact latencies\n        next: stop other programs"},
		{"not tested", nil, errors.New("no child"), "skip  client of server engines: no child"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := doctor.Run(t.Context(),
				doctor.Options{Client: func(context.Context) (*load.Client, error) { return c.client, c.err }})
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			r.Text(&text)
			if !strings.Contains(text.String(), c.want) {
				t.Errorf("%s\nlacks %q", &text, c.want)
			}
			for _, f := range r.Verdict {
				if f.Code == codes.ClientAudit && (f.Level == doctor.Good) != (c.client == &good) {
					t.Errorf("%+v", f)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := doctor.Run(ctx, doctor.Options{Client: func(context.Context) (*load.Client, error) {
		cancel()
		return nil, ctx.Err()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled test returns %v", err)
	}
}
