// Package keys is the table of a study's keys: the name of each, what it accepts, and where its value is among the
// [Values] of a point. It knows neither experiments nor engines; package study fills the table from both.
package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
)

// Field is one key: its dotted name, its meaning, what it accepts, and where its value is.
type Field struct {
	// Key is the dotted name, Help a one-line description.
	Key, Help string
	// Unit of a number whose name does not have it, such as s; empty for none.
	Unit string
	// Kind is what it accepts.
	Kind grammar.Kind
	// Section is the engine that owns the key, or empty.
	Section string
	// Aside reports that the key does not change the measurement, and therefore not the ID.
	Aside bool
	// Undivided reports that commas in a command-line setting do not separate values.
	Undivided bool
	// Preset reports that the key is shorthand for other keys.
	Preset bool
	// List reports that a list of numbers is one value.
	List bool
	// Optional reports that the default is the engine's own.
	Optional bool
	// Unset reports that the key has no value unless a study gives one.
	Unset bool
	// Machine reports that the key is allowed in a user's own file.
	Machine bool
	// Slot is the index of the value; -1 for keys that are not part of a point.
	Slot int
}

// Values are the values of all keys of a point, by slot.
type Values []grammar.Value

// Get returns the key's value.
func (f *Field) Get(v Values) grammar.Value { return v[f.Slot] }

// Put sets the key's value.
func (f *Field) Put(v Values, x grammar.Value) { v[f.Slot] = x }

// Set is the grammar of a study.
type Set struct {
	// Backends are the names of the engines; the first is the default.
	Backends []string
	// Aliases are other names of engines.
	Aliases map[string]string
	// Fields are the keys of an experiment in the order of the documentation. Keys without a section have the first
	// slots.
	Fields []*Field
	// Common is the number of slots of keys without a section.
	Common int
	// Spans are the slots of each engine's section.
	Spans map[string]Span
	// Batch is the field with the batch size of each engine.
	Batch map[string]*Field
	// Initial are the values of a study that sets nothing.
	Initial Values
	// Backend and Model are the fields of these keys.
	Backend, Model *Field
	// ExecutionFields are the keys of the section execution.
	ExecutionFields []*Field
	// OwnKinds are the keys that only a user's own file has.
	OwnKinds map[string]grammar.Kind
	// Lacks are keys that sections of other engines have but this one lacks, with the failure of using one.
	Lacks map[string]Lack
	// Machine are the keys of a study that a user's own file and the environment may set.
	Machine []string

	byKey, execution map[string]*Field
}

// Span is a range of slots: From is the first, To follows the last.
type Span struct{ From, To int }

// Index prepares the look-up of keys; call it once, when the table is complete.
func (s *Set) Index() {
	s.byKey, s.execution = map[string]*Field{}, map[string]*Field{}
	for _, f := range s.Fields {
		s.byKey[f.Key] = f
	}
	for _, f := range s.ExecutionFields {
		s.execution[f.Key] = f
	}
	s.Backend, s.Model = s.byKey["backend"], s.byKey["model"]
}

// Lookup finds a key of an experiment.
func (s *Set) Lookup(key string) (*Field, bool) {
	f, ok := s.byKey[key]
	return f, ok
}

// LookupExecution finds a key of the section execution.
func (s *Set) LookupExecution(key string) (*Field, bool) {
	f, ok := s.execution[key]
	return f, ok
}

// Lack is the failure of using a key that an engine does not have.
type Lack struct {
	// Why is the reason, and Next the next step.
	Why, Next string
}

// Defaults returns the values of a study that sets nothing, for the caller to change.
func (s *Set) Defaults() Values { return slices.Clone(s.Initial) }

// AllMachineKeys lists the keys that a user's own file and the environment may set.
func (s *Set) AllMachineKeys() []string {
	return append(slices.Sorted(maps.Keys(s.OwnKinds)), s.Machine...)
}

// Asides lists the keys that do not change the measurement, see [Field.Aside].
func Asides() []string {
	return []string{"baseline.max_age_seconds", "energy.max_window", "energy.remote",
		"energy.carbon_intensity_g_per_kwh", "energy.pue",
		"energy.price_per_kwh", "energy.currency", "container.image", "container.program", "container.client"}
}

// Seed returns the seed of a study's shuffles if none is given: it is derived from the IDs of the experiments, so
// that two studies do not share an order by accident. It sorts the IDs.
func Seed(ids []string) uint64 {
	slices.Sort(ids)
	h := sha256.New()
	for _, id := range ids {
		fmt.Fprintln(h, id)
	}
	// A seed is a number that YAML and JSON keep exactly.
	return binary.BigEndian.Uint64(h.Sum(nil)) >> 11
}

// Variable returns the environment variable that sets a key: LLEM_ENERGY_PUE.
func Variable(key string) string {
	return "LLEM_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// ConfigVariable names the user's own file.
const ConfigVariable = "LLEM_CONFIG"

// MaxPoints bounds a study, the choices of an axis and the values of a range.
const MaxPoints = 1_000_000

// MaxListed bounds the points in a list of a study's points.
const MaxListed = 100

// Auto is the word in a study file that leaves a value to the program.
const Auto = "auto"
