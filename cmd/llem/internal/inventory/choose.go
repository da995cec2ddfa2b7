package inventory

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/engine"
)

// AnswerError is the error of an answer that is not accepted.
type AnswerError struct{ Msg, Next string }

// Error describes the answer.
func (e *AnswerError) Error() string { return e.Msg }

// NextStep returns how to answer.
func (e *AnswerError) NextStep() string { return e.Next }

// IsUsage marks a mistake of the user.
func (e *AnswerError) IsUsage() {}

// Offered returns the engines to choose from, the default first. A simulation runs only if a study
// names it.
func Offered(list engine.Descriptors, runs func(name string) bool) []string {
	var names []string
	for _, d := range list {
		if !d.Simulated && runs(d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}

// Ask lets the user choose one of names; an empty answer takes the first. It explains an invalid
// answer and repeats the question until the input ends.
func Ask(in io.Reader, out io.Writer, names []string, list engine.Descriptors) (string, error) {
	fmt.Fprintln(out, "Several backends can run here (name one with --backend to skip this question):")
	for i, name := range names {
		fmt.Fprintf(out, "  %d  %s\n", i+1, name)
	}
	r := bufio.NewReader(in)
	for {
		fmt.Fprintf(out, "Which one? [1] ")
		line, err := r.ReadString('\n')
		answer := strings.TrimSpace(line)
		n, notNumber := strconv.Atoi(answer)
		switch {
		case answer == "":
			return names[0], nil
		case notNumber == nil && n >= 1 && n <= len(names):
			return names[n-1], nil
		case slices.Contains(names, strings.ToLower(answer)):
			return strings.ToLower(answer), nil
		}
		wrong := notOffered(answer, list)
		next := fmt.Sprintf("answer with a number from 1 to %d, or with a name: %s", len(names),
			strings.Join(names, ", "))
		if err != nil {
			fmt.Fprintln(out)
			return "", &AnswerError{wrong, next}
		}
		fmt.Fprintf(out, "%s: %s\n", wrong, next)
	}
}

// notOffered returns why an answer is not accepted.
func notOffered(answer string, list engine.Descriptors) string {
	d, known := list.Find(strings.ToLower(answer))
	switch {
	case known && d.Simulated:
		return fmt.Sprintf("%s is a simulation and runs with --backend %s only", d.Name, d.Name)
	case known:
		return d.Name + " cannot run here (`llem config` has the reason)"
	}
	return fmt.Sprintf("%q is not a backend in this list", answer)
}
