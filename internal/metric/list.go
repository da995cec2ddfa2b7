package metric

// Listed is a metric as the JSON document of all metrics has it.
type Listed struct {
	// Name, Head and Unit are the fields of its [Info].
	Name string `json:"name"`
	Head string `json:"head"`
	Unit string `json:"unit"`
	// HigherIsBetter reports that larger values are better.
	HigherIsBetter bool `json:"higher_is_better"`
	// Meaning is a sentence.
	Meaning string `json:"meaning"`
}

// List returns all metrics.
func List() []Listed {
	var out []Listed
	for _, m := range All() {
		out = append(out, Listed{m.Name, m.Head, m.Unit, m.Higher, m.Meaning})
	}
	return out
}
