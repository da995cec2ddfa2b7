package doctor

import (
	"cmp"
	"encoding/json"
)

// Stored is the self-test that a study keeps beside its results: a report, or why there is none.
type Stored struct {
	// Report is nil if there is none.
	Report *Report
	// Without is a sentence on why there is none, and Next the command that makes one.
	Without, Next string
}

// None is the content of the file where there is no report.
type None struct {
	// Skipped is why the sensors were not tested, and Next the command that tests them.
	Skipped string `json:"skipped"`
	Next    string `json:"next"`
}

// command tests the sensors.
const command = "llem doctor"

// ReadStored reads the content of the file; nil if the study has none.
func ReadStored(text []byte) Stored {
	if text == nil {
		return Stored{Without: "The study holds no self-test of the sensors.", Next: command}
	}
	var none struct {
		None
		Reason string // of an earlier version
	}
	if json.Unmarshal(text, &none) == nil && cmp.Or(none.Skipped, none.Reason) != "" {
		return Stored{Without: "Not run: " + cmp.Or(none.Skipped, none.Reason) + ".", Next: cmp.Or(none.Next, command)}
	}
	var r Report
	if json.Unmarshal(text, &r) != nil {
		return Stored{Without: "The self-test of the study cannot be read.", Next: command}
	}
	return Stored{Report: &r}
}

// Line is a finding with its device.
func (f Finding) Line() string {
	if f.Device == "" {
		return f.Message
	}
	return f.Device + ": " + f.Message
}
