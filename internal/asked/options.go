// Package asked finds out what a server engine's program and its model are: the options of the program, the settings
// in its log, the size of the vocabulary.
package asked

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Timeout bounds a question to a program: some engines import all of themselves first.
const Timeout = 2 * time.Minute

// Known are the options that a program lists.
type Known map[string]bool

// Has reports whether a program has an option; a program without a list has all.
func (k Known) Has(option string) bool { return k == nil || k[option] }

// First returns the first of several names of one option that the program has: names differ between versions.
func (k Known) First(names ...string) string {
	for _, n := range names {
		if k.Has(n) {
			return n
		}
	}
	return names[0]
}

// Check refuses arguments that the program does not have, before it is started.
func (k Known) Check(name, version string, args []string) error {
	var unknown []string
	for _, a := range args {
		option, _, _ := strings.Cut(a, "=")
		if option != "--" && strings.HasPrefix(option, "--") && !k.Has(option) {
			unknown = append(unknown, option)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return note.Failf(codes.ClassVersion, "leave that key out of the study, or install a version that has it",
		"%s %s has no option %s: it was not started", name, version, strings.Join(unknown, ", "))
}

// optionNames matches the options in a help text.
var optionNames = regexp.MustCompile(`(?:^|[\s,/|\[(])(--[A-Za-z0-9][A-Za-z0-9_-]*)`)

// parseHelp reads a help text. A text without --port is not one: the program may have printed a summary, or why it
// cannot start.
func parseHelp(text string) Known {
	k := Known{}
	for _, m := range optionNames.FindAllStringSubmatch(text, -1) {
		k[m[1]] = true
	}
	if !k["--port"] {
		return nil
	}
	return k
}

// helps caches help texts: some engines import all of themselves to print one.
type helps struct {
	mu    sync.Mutex
	known map[string]Known
}

var answers = helps{known: map[string]Known{}}

// OptionsOf queries a program for its options, once for each version in this process. Each of tries is a list of
// arguments; the first one that is answered counts. It returns nil if the program does not list them: some cannot
// even do that without a GPU.
func OptionsOf(ctx context.Context, cmd backend.Command, version string, tries ...[]string) Known {
	answers.mu.Lock()
	defer answers.mu.Unlock()
	key := fmt.Sprint(cmd.Path, cmd.Args, cmd.Env, version)
	if cmd.Container != nil {
		key += " in " + cmd.Container.Image
	}
	if k, ok := answers.known[key]; ok {
		return k
	}
	for _, args := range tries {
		if k := parseHelp(help(ctx, cmd, args)); k != nil {
			answers.known[key] = k
			return k
		}
	}
	if ctx.Err() == nil {
		answers.known[key] = nil
	}
	return nil
}

func help(ctx context.Context, cmd backend.Command, args []string) string {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	out, more, err := cmd.Output(ctx, args...)
	if err != nil {
		return ""
	}
	return string(out) + string(more) // some print it on standard error
}
