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

// ID identifies the meaning of the experiment in 12 hexadecimal digits. One that was read from
// results of an earlier version has the ID that these have, see [Experiment.Recorded].
func (e Experiment) ID() string {
	if e.RecordedID != "" {
		return e.RecordedID
	}
	e = e.Measured()
	switch e.Workload.Dataset {
	case builtin:
		e.Workload.Dataset = builtinNow
	case builtinFirst: // which was called so
		e.Workload.Dataset = builtin
	}
	return e.hash()
}

// hash is that of the experiment as it is written. A process, which every engine was before there
// were containers, is not named.
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

// Measured is the experiment without what does not change the measurement: what results are
// converted to, which remote pages check them, how long a baseline stays good, and seeds, types
// and sizes that make no difference. What means the same is spelled in one way, as far as that is
// known without looking at the disk.
func (e Experiment) Measured() Experiment {
	return e.measuredOnly().canonical()
}

// measuredOnly drops what does not change the measurement of any experiment, and where on this
// machine the engine is found.
func (e Experiment) measuredOnly() Experiment {
	e.RecordedID, e.Container = "", ContainerSection{}
	e.Energy = Energy{Sources: e.Energy.Sources, MinWindow: e.Energy.MinWindow, AllowShared: e.Energy.AllowShared}
	e.Baseline.MaxAgeSeconds = usualBaseline.MaxAgeSeconds
	return e
}

// Recorded is the experiment as the results of an earlier version mean it that have it under an
// ID: the built-in prompts are those of that version, and [Experiment.ID] is that ID. Without a
// meaning that has the ID it is the experiment as it stands, of another ID.
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

// earlierID is the ID by the rules of versions that had one order of the built-in prompts.
func (e Experiment) earlierID() string {
	const half = "float16" // was auto for random models on the embedded engine
	e = e.measuredOnly()
	e.Model, e.Workload.Dataset = canonicalModel(e.Model), canonicalDataset(e.Workload.Dataset)
	e.Decoding = e.Decoding.canonical()
	if e.DType == half && e.Backend == "embedded" && strings.HasPrefix(e.Model, "random:") {
		e.DType = terms.DTypeAuto
	}
	return e.hash()
}
