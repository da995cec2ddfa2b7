package join

import (
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// join turns material into the numbers of a record. It reads nothing else, so that
// the same numbers come out of the files later.
type join struct {
	*Material
	record *result.Record
	// show, if set, also receives warnings at once.
	show func(code note.Code, message string)
	// firstUses are the ids of the requests that are left out of the latencies.
	firstUses map[int]bool
	// shares are the requests' parts of the phases; nil without a split.
	shares []attribute.Shares
}

// warn raises a doubt in the record that the user also sees at once.
func (j *join) warn(code note.Code, message string) {
	j.record.Warn(code, message)
	if j.show != nil {
		j.show(code, message)
	}
}
