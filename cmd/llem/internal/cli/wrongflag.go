package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/llenergymeasure/llem/internal/near"
)

// wrongFlag explains a mistake in the flags of a command, with the flag that was probably meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	next := "see `" + cmd.CommandPath() + " --help`"
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return &usageError{err.Error(), next}
	}
	asked := unknown.GetSpecifiedName()
	best, sure := nearFlag(cmd, asked)
	if other := flagOfAnother(cmd, asked); other != "" && !sure {
		return &usageError{err.Error(), fmt.Sprintf("--%s is a flag of `%s`; %s", asked, other, next)}
	}
	if best != "" {
		next = "did you mean --" + best + "? " + strings.ToUpper(next[:1]) + next[1:]
	}
	return &usageError{err.Error(), next}
}

// mostBegun is the maximum number of flags that begin so.
const mostBegun = 2

// nearFlag returns the flag of a command that is most likely meant, or "": the shortest of few that begin so, or one
// that is spelled like it. It is sure if a letter makes the difference.
func nearFlag(cmd *cobra.Command, asked string) (flag string, sure bool) {
	names := []string{"help"}
	add := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	best := near.Best(asked, names)
	apart := near.Distance(asked, best)
	if apart <= 1 {
		return best, true
	}
	begun := slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, asked) })
	switch {
	case len(asked) > 1 && len(begun) > 0 && len(begun) <= mostBegun:
		return slices.MinFunc(begun, func(a, b string) int { return cmp.Compare(len(a), len(b)) }), false
	case apart > max(1, len(asked)/3):
		return "", false
	}
	return best, false
}

// flagOfAnother returns the command that has a flag, if not this one.
func flagOfAnother(cmd *cobra.Command, flag string) string {
	for _, c := range cmd.Root().Commands() {
		if c != cmd && !c.Hidden && c.Flags().Lookup(flag) != nil {
			return c.CommandPath()
		}
	}
	return ""
}
