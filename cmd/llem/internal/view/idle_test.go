package view

import (
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// TestIdleWhy: each energy net of idle has the reason that is its own, or else the one that is always true.
func TestIdleWhy(t *testing.T) {
	bare := note.Note{Code: codes.NoBaseline, Message: "gpu0 has no idle baseline before the start (a): net_j is null"}
	loaded := note.Note{Code: codes.NoBaseline,
		Message: "gpu0 has no idle baseline with the model loaded (b): net_resident_j is null"}
	idles := Idles()
	for _, q := range []struct {
		warnings note.List
		want     [2]string
	}{
		{note.List{loaded, bare}, [2]string{bare.Message, loaded.Message}},
		{note.List{loaded}, [2]string{idles[0].Unknown, loaded.Message}},
		{nil, [2]string{idles[0].Unknown, idles[1].Unknown}},
	} {
		runs := []*result.Record{{}, {Warnings: q.warnings}}
		for i, idle := range idles {
			if got := idle.Why(runs); got != q.want[i] {
				t.Errorf("%s: %q, want %q", idle.Metric, got, q.want[i])
			}
		}
	}
}
