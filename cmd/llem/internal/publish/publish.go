// Package publish sends the folder of a study to a data set of a Hugging Face hub, and fetches one: `llem push` and
// `llem pull`.
//
//	folder ─ contents ─▶ own files ─ scrub ─▶ copy ─ verdict ─▶ card, runs.parquet, figure ─ share ─▶ one commit
//
// Only the files of a study are sent, never others of its folder. The copy is verified before anything is sent, and
// what is sent is listed first. A repository that holds something else is not written to.
package publish

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/llenergymeasure/llem/internal/mlflow"
	"github.com/llenergymeasure/llem/internal/share"
)

// Command is what push and pull use of the process.
type Command struct {
	// Out gets the outcome, Doc the outcome as a document, Err what else a person needs to know, and In the answers of
	// one.
	Out, Doc, Err io.Writer
	In            io.Reader
	// Ask reports whether In and Err are a terminal, with somebody to ask. Live reports whether Err is one.
	Ask, Live bool
	// Environ lists the environment as NAME=VALUE: its secrets are not sent.
	Environ []string
	// Version of llem.
	Version string
}

// Error is a mistake of the user: nothing was sent or fetched.
type Error struct{ What, Next string }

// Error returns what is wrong.
func (e *Error) Error() string { return e.What }

// NextStep returns what to do about it.
func (e *Error) NextStep() string { return e.Next }

// IsUsage marks it as a mistake on the command line.
func (e *Error) IsUsage() {}

// mistakes turns mistakes that the client finds into an [*Error].
func mistakes(err error) error {
	if e, ok := errors.AsType[*share.Error](err); ok && e.Usage {
		return &Error{e.What, e.Next}
	}
	if e, ok := errors.AsType[*mlflow.Error](err); ok && e.Usage {
		return &Error{e.What, e.Next}
	}
	return err
}

// client returns a client that tells what it waits for.
func (c Command) client() *share.Client {
	hub := share.New()
	hub.Note = func(text string) { fmt.Fprintf(c.Err, "%s%s\n", c.clear(), text) }
	return hub
}

// clear removes a line of progress.
func (c Command) clear() string {
	if c.Live {
		return "\r\x1b[K"
	}
	return ""
}

// confirm asks a question. Nobody to ask is a no.
func (c Command) confirm(ctx context.Context, question string) bool {
	if !c.Ask {
		return false
	}
	fmt.Fprintf(c.Err, "%s [y/N] ", question)
	answered := make(chan string, 1)
	go func() { // ends with the answer, or with the process
		line, _ := bufio.NewReader(c.In).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return false
	case text := <-answered:
		return text == "y" || text == "yes"
	}
}
