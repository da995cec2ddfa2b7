package scrub

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"

	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/study"
)

// idPattern matches texts that may be the id of a configuration.
var idPattern = regexp.MustCompile(`\b[0-9a-f]{12}\b`)

// EqualError reports configurations or files that differ in private texts alone.
type EqualError struct{ what string }

// Error names one of them.
func (e *EqualError) Error() string {
	return e.what + " differs from another one only in texts that are replaced, such as the folder of a user"
}

// NextStep returns what to do about it.
func (e *EqualError) NextStep() string {
	return "measure with files in a folder that is nobody's, such as /data, or leave --scrub out"
}

// rename finds the configurations in which a text is replaced, such as the path of a model. Their ids, which are hashes
// of their settings, are replaced too. A study of another version is left alone: its ids are not compared.
func (c *copier) rename() error {
	s, _, err := store.ReadFrozen(c.Dir)
	if err != nil {
		return nil //nolint:nilerr // whether the study can be read is for the verification of the copy
	}
	ids := map[string]string{}
	for _, e := range s.Experiments {
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode the configuration %s: %w", e.ID(), err)
		}
		clean := c.replace(string(text))
		if clean == string(text) {
			continue
		}
		var next study.Experiment
		if err := json.Unmarshal([]byte(clean), &next); err != nil {
			return fmt.Errorf("read the configuration %s without private texts: %w", e.ID(), err)
		}
		ids[e.ID()] = next.ID()
	}
	taken := map[string]bool{}
	for _, e := range s.Experiments {
		id := cmp.Or(ids[e.ID()], e.ID())
		if taken[id] {
			return &EqualError{"the configuration " + e.ID()}
		}
		taken[id] = true
	}
	for i := range c.rules {
		c.rules[i].here = 0 // these are counted in the files
	}
	if len(ids) == 0 {
		return nil
	}
	if c.copy.IDs == nil {
		c.copy.IDs = map[string]string{}
	}
	maps.Copy(c.copy.IDs, ids)
	c.rules = append(c.rules, rule{what: "id of a configuration with such a text", with: "another id",
		pattern: idPattern, table: ids})
	return nil
}
