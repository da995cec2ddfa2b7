package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/study"
)

// chooseBackend asks which backend to use if the study names none, several can run here and
// the terminal is interactive. It returns "" to keep the backend of the study.
func (env *Env) chooseBackend(ctx context.Context, s *study.Study, python string) (string, error) {
	if s.BackendNamed || !env.StdinTTY || !env.StderrTTY {
		return "", nil
	}
	backends := machine.Backends(nil, python)
	list := engines.All()
	names := offered(list, func(name string) bool {
		b, known := backends[name]
		if !known {
			return false
		}
		_, err := b.Probe(ctx)
		return err == nil
	})
	if len(names) < 2 {
		return "", context.Cause(ctx)
	}
	type reply struct {
		name string
		err  error
	}
	answer := make(chan reply, 1)
	go func() {
		name, err := ask(env.Stdin, env.Stderr, names, list)
		answer <- reply{name, err}
	}()
	select {
	case r := <-answer:
		return r.name, r.err
	case <-ctx.Done(): // the reader of standard input ends with the process
		return "", context.Cause(ctx)
	}
}

// offered returns the engines to choose from, the default first. A simulation runs only if a study
// names it.
func offered(list engine.Descriptors, runs func(name string) bool) []string {
	var names []string
	for _, d := range list {
		if !d.Simulated && runs(d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}

// ask lets the user choose one of names; an empty answer takes the first. It explains an invalid
// answer and repeats the question until the input ends.
func ask(in io.Reader, out io.Writer, names []string, list engine.Descriptors) (string, error) {
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
			return "", &usageError{wrong, next}
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
