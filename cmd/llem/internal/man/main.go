// Command man writes what packages of llem install beside the program, from the commands themselves: a man page for
// llem and for each command, and the scripts by which shells complete them. It is built on the machine that builds the
// packages, and is not part of the program.
//
//	man -version v1.2.3 -date 2026-11-29 DIR
//
// DIR gets man/llem.1, man/llem-run.1 and so on, bash/llem, zsh/_llem and fish/llem.fish.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/llenergymeasure/llem/cmd/llem/internal/cli"
)

func main() {
	var at edition
	flag.StringVar(&at.version, "version", "", "version of llem, at the foot of each page")
	flag.StringVar(&at.date, "date", "", "date of the version: YYYY-MM-DD")
	flag.Parse()
	if flag.NArg() != 1 || at.version == "" || at.date == "" {
		fmt.Fprintln(os.Stderr, "man: usage: man -version VERSION -date YYYY-MM-DD DIR")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), cli.Commands(), at); err != nil {
		fmt.Fprintf(os.Stderr, "man: %v\n", err)
		os.Exit(1)
	}
}

// write fills a folder with the pages and the completion scripts of a program.
func write(dir string, root *cobra.Command, at edition) error {
	files := map[string][]byte{}
	for _, cmd := range documented(root) {
		files[filepath.Join("man", pageName(cmd)+".1")] = []byte(page(cmd, at))
	}
	for name, generate := range map[string]func(io.Writer) error{
		"bash/" + root.Name():           func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh/_" + root.Name():           root.GenZshCompletion,
		"fish/" + root.Name() + ".fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		if err := generate(&b); err != nil {
			return fmt.Errorf("generate %s: %w", name, err)
		}
		files[name] = b.Bytes()
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documented returns the program and its commands, in the order of the help, without hidden ones.
func documented(root *cobra.Command) []*cobra.Command {
	commands := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			commands = append(commands, c)
		}
	}
	return commands
}
