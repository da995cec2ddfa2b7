package help

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/internal/near"
)

// NoCommand returns the check that explains a word that is not a command.
func NoCommand(commands []*cobra.Command) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, c := range commands {
			names = append(names, c.Name())
		}
		hint := "commands: " + strings.Join(names, ", ")
		if best := nearCommand(args[0], append(names, "help", "completion")); best != "" {
			hint = fmt.Sprintf("did you mean %q?", best)
		}
		return &Error{fmt.Sprintf("unknown command %q", args[0]), hint}
	}
}

// nearCommand returns the name that was probably meant: the first that begins so, or one that is spelled like it.
func nearCommand(asked string, names []string) string {
	for _, name := range names {
		if strings.HasPrefix(name, asked) {
			return name
		}
	}
	return near.Best(asked, names)
}

// Asked returns the command that the words after --help or help name, root if there are none, or the error of
// words that are not a command.
func Asked(root *cobra.Command, words []string) (*cobra.Command, error) {
	asked, rest, err := root.Find(words)
	switch {
	case err != nil || asked == root:
		return root, root.Args(root, words)
	case len(rest) > 0:
		return root, &Error{fmt.Sprintf("unknown command %q", strings.Join(words, " ")),
			"see `" + asked.CommandPath() + " --help`"}
	}
	asked.InitDefaultHelpFlag()
	return asked, nil
}

// NewCommand returns the command that shows the help of a command: `llem help run` is `llem run --help`.
func NewCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "Show the help of the program or of a command",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := Asked(cmd.Root(), args)
			if err != nil {
				return err
			}
			return asked.Help()
		},
	}
}

// shells are the shells that complete the command line, in the order of the help.
var shells = [...]string{"bash", "zsh", "fish", "powershell"}

// NewCompletion returns the command that prints the script by which a shell completes the commands and flags of llem.
func NewCompletion(w io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells[:], "|"),
		Short: "Print the script by which a shell completes commands and flags",
		Long: "Print the script by which a shell completes commands and flags. Load it in the file that\n" +
			"the shell reads when it starts.\n",
		Example: "  source <(llem completion bash)\n" +
			"  source <(llem completion zsh)\n" +
			"  llem completion fish | source\n" +
			"  llem completion powershell | Out-String | Invoke-Expression",
		Hidden:    true,
		ValidArgs: shells[:],
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &Error{fmt.Sprintf("completion takes the name of one shell, %d given", len(args)),
					"use one of " + strings.Join(shells[:], ", ")}
			}
			return complete(cmd.Root(), args[0], w)
		},
	}
}

// complete writes the script of a shell.
func complete(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	next := "use one of " + strings.Join(shells[:], ", ")
	if best := near.Best(shell, shells[:]); best != "" {
		next = fmt.Sprintf("did you mean %q? %s", best, strings.ToUpper(next[:1])+next[1:])
	}
	return &Error{fmt.Sprintf("no completion for the shell %q", shell), next}
}

// Error is a mistake on the command line.
type Error struct{ msg, next string }

// Error returns what is wrong.
func (e *Error) Error() string { return e.msg }

// NextStep returns what to do about it.
func (e *Error) NextStep() string { return e.next }

// IsUsage marks a mistake of usage.
func (e *Error) IsUsage() {}
