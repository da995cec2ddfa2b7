package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
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
