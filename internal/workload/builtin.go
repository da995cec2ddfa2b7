package workload

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// builtinFiles holds the prompts inside the program: a file for each kind of task, named after it, with one
// {"prompt": "…"} on each line. Lines must not change or move: first edition prompts are found by their position,
// and ids contain the line number.
//
//go:embed builtin/*.jsonl
var builtinFiles embed.FS

// firstKinds are the kinds of the first edition of the built-in prompts, in its order, and firstLines is the
// number of prompts of each.
var firstKinds = [...]string{"qa", "code", "summarize", "math", "chat", "extract", "creative", "rewrite", "classify"}

const firstLines = 25

// readBuiltin reads the built-in prompts, kind after kind.
func readBuiltin(source string) (*Set, error) {
	files, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		return nil, fmt.Errorf("read the built-in prompts: %w", err)
	}
	out := &Set{Source: source, shuffled: true}
	for _, f := range files { // in the order of their names
		name := path.Join("builtin", f.Name())
		text, err := builtinFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the built-in prompts: %w", err)
		}
		set, err := read(source, name, bytes.NewReader(text), false)
		if err != nil {
			return nil, err
		}
		kind := strings.TrimSuffix(f.Name(), ".jsonl")
		for i, p := range set.Prompts {
			p.ID, p.Task = fmt.Sprintf("%s-%03d", kind, i+1), kind
			out.Prompts = append(out.Prompts, p)
		}
	}
	return out, nil
}

// firstEdition returns the prompts of the first edition in its order, which no seed changes: one of each kind,
// then the next one of each.
func firstEdition() (*Set, error) {
	all, err := readBuiltin(BuiltinFirst)
	if err != nil {
		return nil, err
	}
	kinds := byKind(all.Prompts)
	out := &Set{Source: BuiltinFirst}
	for i := range firstLines {
		for _, kind := range firstKinds {
			if len(kinds[kind]) < firstLines {
				return nil, errors.New("read the built-in prompts: the first edition is incomplete")
			}
			out.Prompts = append(out.Prompts, kinds[kind][i])
		}
	}
	return out, nil
}

func byKind(prompts []Prompt) map[string][]Prompt {
	out := map[string][]Prompt{}
	for _, p := range prompts {
		out[p.Task] = append(out[p.Task], p)
	}
	return out
}

// shuffle returns all prompts in the order of a seed, in rounds. A round takes one prompt of each kind that has
// one left, each from a different part of the range of lengths: with ten kinds one is taken from the shortest
// tenth of its kind, one from the next tenth, and so on. Kinds and lengths are thus spread evenly over the first n
// prompts of every seed. The order is the same on every machine.
func shuffle(prompts []Prompt, seed uint64) []Prompt {
	const stream = 0x70726f6d707473 // differs from the streams of synthetic prompts
	d := dice{rand.NewPCG(seed, stream)}
	groups := byKind(prompts)
	kinds := make([]string, 0, len(groups))
	for kind, group := range groups {
		slices.SortStableFunc(group, func(a, b Prompt) int { return cmp.Compare(len(a.Text), len(b.Text)) })
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	out := make([]Prompt, 0, len(prompts))
	for len(kinds) > 0 {
		d.shuffle(kinds)
		part := d.below(len(kinds))
		for _, kind := range kinds {
			part = (part + golden(len(kinds))) % len(kinds)
			group := groups[kind]
			low, high := part*len(group)/len(kinds), (part+1)*len(group)/len(kinds)
			at := min(low+d.below(max(high-low, 1)), len(group)-1)
			out = append(out, group[at])
			groups[kind] = slices.Delete(group, at, at+1)
		}
		kinds = slices.DeleteFunc(kinds, func(kind string) bool { return len(groups[kind]) == 0 })
	}
	return out
}

// golden returns a number below n near its golden section, without a common divisor: steps of this size visit each
// of n parts once, and a few successive steps are already spread out.
func golden(n int) int {
	for g := (n*618 + 500) / 1000; g > 1; g-- {
		if gcd(g, n) == 1 {
			return g
		}
	}
	return 1
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// dice draws numbers by our own stable method, see [draw].
type dice struct{ src *rand.PCG }

func (d dice) below(n int) int {
	k, _ := bits.Mul64(d.src.Uint64(), uint64(n))
	return int(k)
}

func (d dice) shuffle(words []string) {
	for i := len(words) - 1; i > 0; i-- {
		j := d.below(i + 1)
		words[i], words[j] = words[j], words[i]
	}
}
