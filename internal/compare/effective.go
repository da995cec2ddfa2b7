package compare

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/internal/effective"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// usedDifferently returns the settings that the two engines used differently although the studies do not
// request it.
func usedDifferently(a, b *result.Record) []string {
	asked := naming.Varying([]study.Experiment{a.Config, b.Config})
	var out []string
	for _, d := range effective.Differences(a.Backend.Effective, b.Backend.Effective, func(key string) bool {
		return slices.ContainsFunc(asked, func(k naming.Key) bool { return k.Name == key })
	}) {
		out = append(out, fmt.Sprintf("the engines used %s: A %s, B %s, which the studies do not set", d.Key, d.A,
			d.B))
	}
	return out
}
