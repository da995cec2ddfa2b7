package host

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// CardWarnings returns what readers of a GPU's results should know about the card's configuration, by UUID.
// It never warns of unknown facts.
func CardWarnings(s *Snapshot) map[string]note.List {
	out := map[string]note.List{}
	for i := range s.GPUs {
		g := &s.GPUs[i]
		var list note.List
		g.persistence(&list)
		g.limit(&list)
		g.clocks(&list)
		if g.ECCMode != nil && *g.ECCMode == disabled {
			list.Warnf(codes.ECCOff,
				"%s: ECC is off. A card whose ECC takes part of its memory and of its bandwidth is "+
					"larger and faster without it: compare only with runs whose ECC is also off", g.name())
		}
		if g.UUID != nil && len(list) > 0 {
			out[*g.UUID] = list
		}
	}
	return out
}

// disabled is a mode that is off.
const disabled = "disabled"

func (g *GPU) name() string { return fmt.Sprintf("GPU %d", g.Index) }

// persistence warns of a driver that unloads when nothing uses it.
func (g *GPU) persistence(out *note.List) {
	if g.PersistenceMode == nil || *g.PersistenceMode != disabled {
		return
	}
	*out = append(*out, note.Note{Code: codes.PersistenceOff,
		Message: g.name() + ": persistence mode is off. While nothing uses the " +
			"driver, it unloads: settings such as a power limit and clocks are lost, the energy counter restarts, " +
			"and the " +
			"first use takes seconds, outside of the window",
		Next: fmt.Sprintf("sudo nvidia-smi -i %d -pm 1", g.Index)})
}

// limit warns of a power limit below the default: the same work takes longer at less power, and its energy
// differs.
func (g *GPU) limit(out *note.List) {
	if now, usual := g.PowerLimitW, g.PowerLimitDefaultW; now != nil && usual != nil && *now < *usual {
		*out = append(*out, note.Note{Code: codes.PowerLimit,
			Message: fmt.Sprintf("%s: the power limit is %.0f W instead of the default %.0f W "+
				"(%.0f %% of it): work that would draw more power runs slower, and its "+
				"energy differs. "+
				"Compare only with runs under the same limit", g.name(), *now, *usual, 100**now / *usual),
			Next: fmt.Sprintf("sudo nvidia-smi -i %d -pl %.0f, unless it is intended", g.Index, *usual)})
	}
}

// clocks warns of application clocks below the highest: the card does not choose them itself.
func (g *GPU) clocks(out *note.List) {
	if set, most := g.SMClockApplicationsMHz, g.SMClockMaxMHz; set != nil && most != nil && *set < *most {
		usual := g.SMClockDefaultMHz
		if usual != nil && *set == *usual { // the default
			return
		}
		*out = append(*out, note.Note{Code: codes.ClocksHeld,
			Message: fmt.Sprintf("%s: the SM clock is set to %d MHz "+
				"of at most %d MHz: work takes longer, and its energy differs from the default clocks'",
				g.name(), *set, *most),
			Next: fmt.Sprintf("sudo nvidia-smi -i %d -rac, unless it is intended", g.Index)})
	}
}
