package workload

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/digits"
)

// Conversations reports whether records of the set are conversations with several turns of the user, which [LoadFor]
// keeps.
func (s *Set) Conversations() bool {
	for _, p := range s.Prompts {
		if len(p.Turns) > 1 {
			return true
		}
	}
	return false
}

// Room returns how many conversations of this number of turns the set has: records of at least as many turns of the
// user; in a set without conversations each has as many prompts.
func (s *Set) Room(turns int) int {
	if turns < 2 || !s.Conversations() {
		return len(s.Prompts) / max(1, turns)
	}
	n := 0
	for _, p := range s.Prompts {
		if len(p.Turns) >= turns {
			n++
		}
	}
	return n
}

// Fewer returns what helps if a set has fewer prompts, or conversations of a number of turns, than requested.
func Fewer(have, turns int) string {
	next := "give a larger file, or use dataset: synthetic"
	if turns > 1 {
		next = "lower workload.load.turns, " + next
	}
	if have > 0 {
		next = fmt.Sprintf("lower -n or workload.prompts to %d, ", have) + next
	}
	return next
}

// Take returns the prompts of n conversations of this number of turns, one conversation after another. The turns of a
// conversation are the first turns of the user in one record, of the first records that have enough; their recorded
// answers are left out. In a set without conversations each turn is a prompt of its own, as [Set.Select] chooses them.
func (s *Set) Take(n, turns int, seed uint64) ([]Prompt, error) {
	if turns < 2 || !s.Conversations() {
		return s.Select(n*max(1, turns), seed)
	}
	var out []Prompt
	for _, p := range s.Prompts {
		if len(out) == n*turns {
			break
		}
		if len(p.Turns) < turns {
			continue
		}
		for i, text := range p.Turns[:turns] {
			q := p
			q.Text, q.Turns, q.Messages = text, nil, nil
			q.ID, q.Origin = fmt.Sprintf("%s/%d", p.ID, i+1), fmt.Sprintf("%s, turn %d", p.Origin, i+1)
			out = append(out, q)
		}
	}
	if have := len(out) / turns; have < n {
		return nil, wrong(s.Source, nil, Fewer(have, turns), fmt.Sprintf("has %s with at least %d turns of the user, "+
			"%d asked for", digits.Count(have, "conversation"), turns, n))
	}
	return out, nil
}
