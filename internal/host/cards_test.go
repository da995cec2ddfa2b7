package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestCardWarnings: how a card is set up is told of that card, and nothing of what is not known.
func TestCardWarnings(t *testing.T) {
	for name, q := range map[string]struct {
		gpu  GPU
		want []note.Code
		text string
	}{
		"unknown": {GPU{}, nil, ""},
		"as it came": {GPU{PersistenceMode: new("enabled"), ECCMode: new("enabled"), PowerLimitW: new(700.0),
			PowerLimitDefaultW: new(700.0), SMClockMaxMHz: new(1980), SMClockApplicationsMHz: new(1980),
			SMClockDefaultMHz: new(1980)}, nil, ""},
		"default below the highest": {GPU{SMClockMaxMHz: new(1410), SMClockApplicationsMHz: new(1095),
			SMClockDefaultMHz: new(1095)}, nil, ""},
		"not persistent": {GPU{PersistenceMode: new("disabled")}, []note.Code{codes.PersistenceOff},
			"counter restarts"},
		"limited": {GPU{PowerLimitW: new(350.0), PowerLimitDefaultW: new(700.0)}, []note.Code{codes.PowerLimit},
			"350 W instead of the default 700 W (50 % of it)"},
		"held": {GPU{SMClockMaxMHz: new(1980), SMClockApplicationsMHz: new(1200), SMClockDefaultMHz: new(1980)},
			[]note.Code{codes.ClocksHeld}, "1200 MHz of at most 1980 MHz"},
		"no ECC": {GPU{ECCMode: new("disabled")}, []note.Code{codes.ECCOff}, "ECC is off"},
	} {
		q.gpu.UUID = new("GPU-1")
		got := CardWarnings(&Snapshot{GPUs: []GPU{{UUID: new("GPU-0")}, q.gpu}})
		if list := got["GPU-1"]; !slices.Equal(list.Codes(), q.want) || len(got) > 1 ||
			len(list) > 0 && !strings.Contains(list[0].Message, q.text) {
			t.Errorf("%s: %+v, want %v with %q", name, got, q.want, q.text)
		}
	}
}
