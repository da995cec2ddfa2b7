package study

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/study/terms"
)

// idVersion is part of every ID; it changes when the meaning of a key changes.
const idVersion = "llem-1"

// ID returns 12 hexadecimal digits that identify the meaning of the experiment. An experiment from results of an
// earlier version keeps the ID in these results, see [Experiment.Recorded].
func (e Experiment) ID() string {
	if e.RecordedID != "" {
		return e.RecordedID
	}
	e = e.Measured()
	switch e.Workload.Dataset {
	case builtin:
		e.Workload.Dataset = builtinNow
	case builtinFirst: // its name then
		e.Workload.Dataset = builtin
	}
	return e.hash()
}

// hash returns the hash of the experiment's JSON. The runner process is omitted, as in versions without
// containers.
func (e Experiment) hash() string {
	if e.Runner == terms.RunProcess {
		e.Runner = ""
	}
	b, err := e.MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("marshal experiment: %v", err)) // finite numbers and strings marshal
	}
	sum := sha256.Sum256(append([]byte(idVersion+"\n"), b...))
	return hex.EncodeToString(sum[:6])
}

// Measured returns the experiment without what does not change the measurement: conversions of results, remote
// pages that check them, the age limit of a baseline, and seeds, types and sizes without effect. Values with the
// same meaning are spelled in the same way, as far as that is possible without reading the disk.
func (e Experiment) Measured() Experiment {
	return e.measuredOnly().canonical()
}

// measuredOnly removes what never changes the measurement, and where the engine is found on this machine.
func (e Experiment) measuredOnly() Experiment {
	e.RecordedID, e.Container = "", ContainerSection{}
	e.Energy = Energy{Sources: e.Energy.Sources, MinWindow: e.Energy.MinWindow, AllowShared: e.Energy.AllowShared}
	e.Baseline.MaxAgeSeconds = usualBaseline.MaxAgeSeconds
	return e
}

// Recorded returns the experiment as results of an earlier version define it under id: with the built-in prompts
// of that version, and with that ID. If no meaning matches id, it returns the experiment unchanged, which has
// another ID.
func (e Experiment) Recorded(id string) Experiment {
	e.RecordedID = ""
	if e.ID() == id {
		return e
	}
	then := e
	if then.Workload.Dataset == builtin {
		then.Workload.Dataset = builtinFirst
	}
	if then.ID() == id {
		return then
	}
	if e.earlierID() == id {
		then.RecordedID = id
		return then
	}
	return e
}

// earlierID returns the ID by the rules of versions that had a single order of the built-in prompts.
func (e Experiment) earlierID() string {
	const half = "float16" // meaning of auto for random models on the embedded engine
	e = e.measuredOnly()
	e.Model, e.Workload.Dataset = canonicalModel(e.Model), canonicalDataset(e.Workload.Dataset)
	e.Decoding = e.Decoding.canonical()
	if e.DType == half && e.Backend == "embedded" && strings.HasPrefix(e.Model, "random:") {
		e.DType = terms.DTypeAuto
	}
	return e.hash()
}
