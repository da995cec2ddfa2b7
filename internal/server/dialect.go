package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/asked"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/note"
)

// This file holds what several engines share.

// JSON returns a request with a body. The bodies of engines are plain structs.
func JSON(path string, body any) Request {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("marshal a request: %v", err)) // numbers and strings marshal
	}
	return Request{Path: path, Body: b}
}

// completionEvent is an event of the OpenAI completions API, with the token ids that some engines add to it.
type completionEvent struct {
	Choices []struct {
		Text         string  `json:"text"`
		TokenIDs     []int32 `json:"token_ids"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt  int `json:"prompt_tokens"`
		Output  int `json:"completion_tokens"`
		Details *struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// ReadCompletion reads an event of the completions API. If the engine sends no ids, an event with a choice that
// has not finished, or has text, is one token.
func ReadCompletion(data []byte) (Event, error) {
	if string(data) == "[DONE]" {
		return Event{Done: true}, nil
	}
	var c completionEvent
	if err := json.Unmarshal(data, &c); err != nil {
		return Event{}, err
	}
	var e Event
	if c.Error != nil {
		e.Failure = c.Error.Message
		return e, nil
	}
	if len(c.Choices) > 0 {
		choice := c.Choices[0]
		e.IDs = choice.TokenIDs
		switch {
		case len(choice.TokenIDs) > 0:
			e.Tokens = len(choice.TokenIDs)
		case choice.TokenIDs == nil && (choice.FinishReason == nil || choice.Text != ""):
			e.Tokens = 1
		}
		if choice.FinishReason != nil {
			e.Finish = *choice.FinishReason
		}
		if c.Usage != nil && len(choice.TokenIDs) == 0 { // the count so far, if it was requested
			// Without ids only the requested number bounds it.
			e.Tokens, e.Total, e.Hidden = 0, c.Usage.Output, math.MaxInt32
		}
	}
	if u := c.Usage; u != nil {
		e.Usage = &Usage{Prompt: u.Prompt, Output: u.Output}
		if u.Details != nil {
			e.Usage.Cached = u.Details.Cached
		}
	}
	return e, nil
}

// ReadCounters adds up the series of a metrics page by name.
func ReadCounters(page []byte, names map[string]func(*Counters) *float64) (Counters, error) {
	list, err := prom.Parse(page, func(name string) bool { return names[name] != nil })
	if err != nil {
		return Counters{}, fmt.Errorf("read the engine's counters: %w", err)
	}
	var c Counters
	for _, s := range list {
		*names[s.Name](&c) += s.Value
	}
	return c, nil
}

// AskTokens requests the token ids of a text from a server.
func AskTokens(ctx context.Context, ask Ask, path string, request map[string]any) ([]int32, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode a text: %w", err)
	}
	answer, err := ask(ctx, "POST", path, body)
	if err != nil {
		return nil, err
	}
	var got struct {
		Tokens []int32 `json:"tokens"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return nil, fmt.Errorf("read the tokens: %w", err)
	}
	return got.Tokens, nil
}

// Offline returns variables that keep engines off the network: models are resolved before.
func Offline() []string {
	return []string{"HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "DO_NOT_TRACK=1"}
}

// NoFolder returns the failure of a model that is not a folder for Python engines.
func NoFolder(model string, err error) error {
	return &note.Failure{Class: codes.ClassModelNotFound, Message: "look at the model " + model, Err: err,
		Next: "give a Hugging Face folder, or a model of the form random:SHAPE"}
}

// programOf finds a program beside an interpreter, or in PATH.
func programOf(name, python string) (string, error) {
	if python == "" {
		return exec.LookPath(name)
	}
	if _, err := named(python); err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(python), name)
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("there is no program %s beside %s", name, python)
	}
	return path, nil
}

// named finds the user's interpreter.
func named(python string) (string, error) {
	path, err := exec.LookPath(python)
	if err != nil {
		return "", fmt.Errorf("the given interpreter cannot be run: %w", err)
	}
	return path, nil
}

// pythonProgram finds an interpreter: the given one, the one of the active virtual environment, or the one in
// PATH.
func pythonProgram(given string) (string, error) {
	if given == "" {
		if venv := os.Getenv("VIRTUAL_ENV"); venv != "" {
			given = filepath.Join(venv, "bin", "python")
		} else {
			given = "python3"
		}
	}
	return exec.LookPath(given)
}

// interpreter returns the interpreter of a program installed by pip, which is named on its first line; "" for
// other programs.
func interpreter(program string) string {
	f, err := disk.Open(program, disk.Unbounded)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 512)).ReadString('\n')
	path, ok := strings.CutPrefix(strings.TrimSpace(line), "#!")
	if !ok || !strings.Contains(filepath.Base(path), "python") {
		return ""
	}
	return path
}

// packageOf queries an interpreter for the version of one of its packages. The package itself, which may take half
// a minute to import, is not imported.
func packageOf(ctx context.Context, python backend.Command, name string) (string, error) {
	version, err := versionOf(ctx, python, "-c", "import importlib.metadata as m; print(m.version('"+name+"'))")
	f, ok := errors.AsType[*note.Failure](err)
	switch {
	case !ok || !strings.Contains(f.LogTail, "PackageNotFoundError"):
		return version, err
	case python.Container != nil:
		return "", note.Failf(codes.ClassNotInstalled,
			"name an image that has it with container.image, or its program with container.program",
			"the image %s has no package %s", python.Container.Image, name)
	}
	return "", note.Failf(codes.ClassNotInstalled, "install it there, or select another interpreter with --python",
		"%s has no package %s", python.Path, name)
}

// longestVersion exceeds the length of any version, in bytes.
const longestVersion = 200

// versionOf queries a program for its version: the last word of the last line it prints.
func versionOf(ctx context.Context, cmd backend.Command, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, asked.Timeout)
	defer cancel()
	out, said, err := cmd.Output(ctx, args...)
	fields := strings.Fields(string(out))
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", context.Cause(ctx)
	case err != nil || len(fields) == 0 || len(fields[len(fields)-1]) > longestVersion:
		if f, ok := errors.AsType[*note.Failure](err); ok { // a failure of its container
			return "", f
		}
		return "", &note.Failure{Class: codes.ClassNotInstalled, Err: err, LogTail: string(said),
			Message: cmd.Path + " does not report its version", Next: "try `" +
				strings.Join(append([]string{cmd.Path}, args...), " ") + "` by hand"}
	}
	return fields[len(fields)-1], nil
}
