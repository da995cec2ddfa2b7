package plan

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
)

// mostModels bounds the models that are described.
const mostModels = 8

// models describes the size of the models: one line for each, in each form of its weights.
func (p *Plan) models(b *strings.Builder) {
	seen := map[string]bool{}
	defer func() {
		if n := len(seen) - mostModels; n > 0 {
			fmt.Fprintf(b, "  … and %d more models or forms of their weights\n", n)
		}
	}()
	for _, q := range p.Shown {
		if q.Need == nil {
			continue
		}
		if line := q.model + ": " + q.Need.model(); !seen[line] {
			if seen[line] = true; len(seen) <= mostModels {
				fmt.Fprintf(b, "  %s\n", line)
			}
		}
	}
}

// model describes the size of the model.
func (n *Need) model() string {
	words := []string{count(n.Parameters) + " parameters"}
	if n.VisionParameters > 0 {
		words[0] += " (" + count(n.VisionParameters) + " of them in its vision tower)"
	}
	if text := n.Parameters - n.VisionParameters; n.ActiveParameters < text {
		active := count(n.ActiveParameters) + " active per token"
		if n.lookup > 0 {
			active += " (" + count(n.ActiveParameters-n.lookup) + " without the embedding)"
		}
		words = append(words, active)
	}
	weights := fmt.Sprintf("%v of weights", digits.Bytes(n.WeightBytes))
	if n.Devices > 1 {
		weights += " on each device"
	}
	if n.Stored != "" {
		weights += " (" + n.Stored + ")"
	}
	return strings.Join(append(words, weights), ", ")
}

// count formats a number of parameters.
func count(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f B", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	}
	return fmt.Sprintf("%d", n)
}
