package sensors

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/unit"
)

// processor is the published thermal design power (TDP) of a CPU model.
type processor struct {
	match string // part of "model name" in /proc/cpuinfo
	watts unit.Watts
	cores int
}

// tdpPerCore returns the TDP per core of a processor and its source.
//
// The table has the manufacturers' numbers for one socket (product pages at amd.com and ark.intel.com:
// "Default TDP" and "TDP", or "Processor Base Power" of hybrid desktop parts), servers that are common with
// GPUs first. Custom cloud parts have no published number and use the default. If several names match, the
// longest counts.
func tdpPerCore(name string) (unit.Watts, string) {
	table := []processor{
		{"EPYC 9965", 500, 192}, {"EPYC 9755", 500, 128}, {"EPYC 9575F", 400, 64},
		{"EPYC 9754", 360, 128}, {"EPYC 9654", 360, 96}, {"EPYC 9554", 360, 64},
		{"EPYC 9534", 280, 64}, {"EPYC 9454", 290, 48}, {"EPYC 9374F", 320, 32}, {"EPYC 9354", 280, 32},
		{"EPYC 7763", 280, 64}, {"EPYC 7713", 225, 64}, {"EPYC 7543", 225, 32},
		{"EPYC 7742", 225, 64}, {"EPYC 7702", 200, 64}, {"EPYC 7402", 180, 24},
		{"Xeon(R) 6980P", 500, 128}, {"Xeon(R) 6972P", 500, 96}, {"Xeon(R) 6960P", 500, 72},
		{"Platinum 8592", 350, 64}, {"Platinum 8570", 350, 56}, {"Platinum 8558", 330, 48},
		{"Platinum 8480", 350, 56}, {"Platinum 8468", 350, 48}, {"Platinum 8462Y", 300, 32},
		{"Platinum 8380", 270, 40}, {"Platinum 8358", 250, 32}, {"Platinum 8280", 205, 28},
		{"Gold 6430", 270, 32}, {"Gold 6338", 205, 32}, {"Gold 6248", 150, 20},
		{"Threadripper PRO 7995WX", 350, 96}, {"Threadripper PRO 5975WX", 280, 32},
		{"Ryzen 9 9950X", 170, 16}, {"Ryzen 9 7950X", 170, 16}, {"Ryzen 9 5950X", 105, 16},
		{"Ryzen 7 7800X3D", 120, 8}, {"Ryzen 7 5800X", 105, 8},
		{"i9-14900K", 125, 24}, {"i9-13900K", 125, 24}, {"i7-12700K", 125, 12},
		{"i9-10900K", 125, 10}, {"i7-8700K", 95, 6},
	}
	best := processor{}
	for _, p := range table {
		if strings.Contains(name, p.match) && len(p.match) > len(best.match) {
			best = p
		}
	}
	if best.match == "" {
		return modelWattsPerCore, "the default for processors that are not in the table"
	}
	return best.watts / unit.Watts(best.cores),
		fmt.Sprintf("the published TDP of %s, %g W, over its %d cores", best.match, float64(best.watts), best.cores)
}
