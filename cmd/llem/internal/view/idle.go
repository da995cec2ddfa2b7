package view

import (
	"cmp"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Idle is one of the two idle powers that an energy can be net of.
type Idle struct {
	// Metric is the energy of the window that is net of it.
	Metric string
	// Name is the idle power in a sentence, and Short in the head of a column.
	Name, Short string
	// Unknown is why the energy is missing where no run tells more.
	Unknown string
	// key is the name of the energy in warnings.
	key string
}

// Idles returns the idle powers: of the bare machine, and with the model loaded.
func Idles() [2]Idle {
	return [2]Idle{
		{"energy.net_j", "bare idle", "bare idle",
			"the idle power before the engine was started is not known", "net_j"},
		{"energy.net_resident_j", "idle with the model loaded", "loaded idle",
			"the idle power with the model loaded is not known", "net_resident_j"},
	}
}

// Of returns the energy net of the idle power, and the idle power; nil where they are unknown.
func (i Idle) Of(e result.Energy) (net, watts *result.Quantity) {
	if i.key == "net_j" {
		return e.NetJ, e.BaselineW
	}
	return e.NetResidentJ, e.ResidentW
}

// Why returns why runs have no energy net of the idle power.
func (i Idle) Why(runs []*result.Record) string {
	for _, r := range runs {
		for _, w := range r.Warnings {
			if w.Code == codes.NoBaseline && strings.HasSuffix(w.Message, ": "+i.key+" is null") {
				return w.Message
			}
		}
	}
	return i.Unknown
}

// Currency returns the currency of a cost, or that it is not set.
func Currency(e study.Energy) string { return cmp.Or(e.Currency, "(energy.currency is not set)") }
