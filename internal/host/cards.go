package host

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// CardWarnings derives from a snapshot what a reader of results that a GPU made should know of how
// the card is set up, by its UUID. It never warns of what is unknown.
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
					"larger and faster without it: compare only with runs whose ECC is off, too", g.name())
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
			"driver it unloads: settings such as a power limit and clocks are lost, the energy counter starts " +
			"again, and the " +
			"first use takes seconds, which lies outside of the window",
		Next: fmt.Sprintf("sudo nvidia-smi -i %d -pm 1", g.Index)})
}

// limit warns of a power limit below that with which the card came: the same work takes longer at
// less power, and its energy is another.
func (g *GPU) limit(out *note.List) {
	if now, usual := g.PowerLimitW, g.PowerLimitDefaultW; now != nil && usual != nil && *now < *usual {
		*out = append(*out, note.Note{Code: codes.PowerLimit,
			Message: fmt.Sprintf("%s: the power limit is %.0f W and not the %.0f W "+
				"(%.0f %% of it) with which the card came: work that would draw more runs slower and takes "+
				"another energy. "+
				"Compare only with runs under the same limit", g.name(), *now, *usual, 100**now / *usual),
			Next: fmt.Sprintf("sudo nvidia-smi -i %d -pl %.0f, unless it is meant", g.Index, *usual)})
	}
}

// clocks warns of application clocks below the highest: the card does not choose by itself.
func (g *GPU) clocks(out *note.List) {
	if set, most := g.SMClockApplicationsMHz, g.SMClockMaxMHz; set != nil && most != nil && *set < *most {
		usual := g.SMClockDefaultMHz
		if usual != nil && *set == *usual { // as the card came
			return
		}
		*out = append(*out, note.Note{Code: codes.ClocksHeld,
			Message: fmt.Sprintf("%s: the clock of the processors is set to %d MHz, "+
				"of %d MHz at most: work takes longer and another energy than with the clocks that the card chooses",
				g.name(), *set, *most), Next: fmt.Sprintf("sudo nvidia-smi -i %d -rac, unless it is meant", g.Index)})
	}
}
