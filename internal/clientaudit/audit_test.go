package clientaudit

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/metronome"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "worker" && os.Args[2] == metronome.Name {
		if err := metronome.Main(os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

// TestRun: an audit of the real client against a metronome in another process.
func TestRun(t *testing.T) {
	c, err := Run(t.Context(), Options{Streams: 4, Tokens: 5, Rate: 100, Requests: 5,
		Certain: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if c.Streams != 4 || c.Rate != 100 || c.CPUSPerMillion <= 0 || c.TTFTErrorP99US <= 0 ||
		c.SendLagMaxUS < c.SendLagP50US {
		t.Errorf("%+v", *c)
	}
}

// TestCompare: errors are the client's stamps minus the server's, where the server knows its own.
func TestCompare(t *testing.T) {
	w := backend.Workload{Requests: []backend.Prompt{{Tokens: []int32{7}}, {Tokens: []int32{8}}}}
	log := &backend.Log{Requests: []backend.Request{
		{OK: true, SubmittedNS: 1000_000, FirstTokenNS: 1310_000, TokenNS: []int64{1310_000, 1425_000, 1500_000}},
		{SubmittedNS: 1000_000, TokenNS: []int64{1}}, // failed
	}}
	usual := Options{}.withDefaults()
	c, err := usual.compare(w, log, []metronome.Answer{{Key: 7, ReceivedNS: 1010_000,
		BeforeNS: []int64{1300_000, 1400_000, 1500_000}, AfterNS: []int64{1305_000, 1405_000, 1600_000}}})
	if err != nil {
		t.Fatal(err)
	}
	if c.TTFTErrorUS != 20 || c.ITLErrorP50US != 15 || c.UnknownPct != 50 {
		t.Errorf("%+v, want an error of 20 µs, one of 15 µs between tokens, and half unknown", *c)
	}
	if c, err := usual.compare(w, log, nil); err == nil {
		t.Errorf("without an answer that both sides know: %+v, want an error", *c)
	}
}
