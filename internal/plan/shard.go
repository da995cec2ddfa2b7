package plan

import (
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/study"
)

// Division is what a plan of one shard tells of the whole study; the zero value for the whole study.
type Division struct {
	// Shard names the shard.
	Shard string `json:"shard,omitempty"`
	// InAll is the number of runs of all shards.
	InAll int `json:"runs_of_all_shards,omitempty"`
}

// divide counts the runs and the experiments of a shard.
func (p *Plan) divide(s *study.Study, part shard.Shard) {
	p.Runs = part.Runs(s)
	if part.Whole() {
		return
	}
	p.Division = Division{part.String(), shard.Shard{}.Runs(s)}
	p.Points = 0
	for i := range s.Experiments {
		if part.Cycles(s, i) > 0 {
			p.Points++
		}
	}
}

// firstOf lists the first n runs of a shard in order; 0 means all.
func firstOf(s *study.Study, part shard.Shard, n int) []campaign.Planned {
	if part.Whole() {
		return campaign.First(s, n)
	}
	own := campaign.Part(s, part, campaign.Order(s))
	if n > 0 {
		own = own[:min(n, len(own))]
	}
	return own
}
