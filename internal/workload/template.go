package workload

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Conversation returns the prompt as turns: the turns of its record, or one turn of the user.
func (p *Prompt) Conversation() chat.Conversation {
	if p.Messages != nil {
		return p.Messages
	}
	return chat.Conversation{{Role: roleUser, Content: p.Text}}
}

// Templated are prompts in a chat template.
type Templated struct {
	Requests []Request
	// Conversations are the prompts as passed to the template.
	Conversations []chat.Conversation
	// Shortened is the number of conversations whose user text was shortened.
	Shortened int
}

// Template puts prompts into a chat template, which receives many at once, and shortens the user's text if a
// prompt would exceed inputTokens; 0 shortens none. The shortened text is its longest prefix, in runes, with which
// the prompt is short enough. The template itself and the other turns stay complete: if they leave no room for
// text, it is a failure.
func Template(prompts []Prompt, inputTokens int, apply func([]chat.Conversation) ([][]int32, error)) (Templated,
	error) {
	out := Templated{Requests: make([]Request, len(prompts)), Conversations: make([]chat.Conversation, len(prompts))}
	for i := range prompts {
		out.Conversations[i] = prompts[i].Conversation()
	}
	all, err := applied(apply, out.Conversations)
	if err != nil {
		return out, err
	}
	var long []*fit
	for i, ids := range all {
		if len(ids) == 0 {
			return out, fmt.Errorf("%s: the chat template makes no tokens of prompt %s: remove it", prompts[i].Origin,
				prompts[i].ID)
		}
		out.Requests[i] = Request{ID: i, Tokens: ids, Task: prompts[i].Task}
		if inputTokens > 0 && len(ids) > inputTokens {
			long = append(long, newFit(i, out.Conversations[i], len(ids)))
		}
	}
	if err := shorten(long, prompts, inputTokens, apply); err != nil {
		return out, err
	}
	for _, f := range long {
		out.Requests[f.prompt].Tokens, out.Conversations[f.prompt] = f.ids, f.cut(f.low)
	}
	out.Shortened = len(long)
	return out, nil
}

// applied checks that the template was applied to each conversation.
func applied(apply func([]chat.Conversation) ([][]int32, error), all []chat.Conversation) ([][]int32, error) {
	if len(all) == 0 {
		return nil, nil
	}
	ids, err := apply(all)
	if err == nil && len(ids) != len(all) {
		err = fmt.Errorf("chat template: %d conversations but %d tokenizations", len(all), len(ids))
	}
	return ids, err
}

// fit is the search for the part of a text that is short enough: a prefix of low runes is, with the token ids ids,
// and one of high runes is not.
type fit struct {
	prompt       int
	conversation chat.Conversation
	// ends are the byte offsets of the prefixes of the text, by their number of runes.
	ends      []int
	low, high int
	ids       []int32
	// few and many are the numbers of tokens with low and high runes.
	few, many int
}

func newFit(prompt int, c chat.Conversation, tokens int) *fit {
	f := &fit{prompt: prompt, conversation: c, ends: []int{0}, many: tokens}
	for text, at := c[len(c)-1].Content, 0; at < len(text); {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
		f.ends = append(f.ends, at)
	}
	f.high = len(f.ends) - 1
	return f
}

// cut returns the conversation with the first runes of the user's text.
func (f *fit) cut(runes int) chat.Conversation {
	c := slices.Clone(f.conversation)
	last := &c[len(c)-1]
	last.Content = last.Content[:f.ends[runes]]
	return c
}

// guess returns a number of runes between the two limits: by linear interpolation of their tokens, or, every other
// time, half way.
func (f *fit) guess(limit int, line bool) int {
	half := f.low + (f.high-f.low)/2
	if !line || f.many <= f.few {
		return half
	}
	return min(max(f.low+(f.high-f.low)*(limit-f.few)/(f.many-f.few), f.low+1), f.high-1)
}

// take narrows the search by the result for a prefix.
func (f *fit) take(runes int, ids []int32, limit int) {
	if len(ids) > limit {
		f.high, f.many = runes, len(ids)
		return
	}
	f.low, f.few, f.ids = runes, len(ids), ids
}

// ahead is how many prefixes beyond the found one are tried: if the end of a word merges with its beginning into
// one token, a longer text has fewer tokens.
const ahead = 8

// shorten finds the longest prefixes, of all texts at once.
func shorten(long []*fit, prompts []Prompt, limit int, apply func([]chat.Conversation) ([][]int32, error)) error {
	cuts := make([]chat.Conversation, len(long))
	for i, f := range long {
		cuts[i] = f.cut(0)
	}
	all, err := applied(apply, cuts)
	if err != nil {
		return err
	}
	for i, f := range long {
		if f.take(0, all[i], limit); f.high == 0 {
			return noRoom(prompts[f.prompt], len(all[i]), limit)
		}
	}
	for line := true; ; line = !line {
		var open []*fit
		var at []int
		cuts = cuts[:0]
		for _, f := range long {
			if f.high-f.low > 1 {
				open, at = append(open, f), append(at, f.guess(limit, line))
				cuts = append(cuts, f.cut(at[len(at)-1]))
			}
		}
		if len(open) == 0 {
			break
		}
		if all, err = applied(apply, cuts); err != nil {
			return err
		}
		for i, f := range open {
			f.take(at[i], all[i], limit)
		}
	}
	if err := lookAhead(long, limit, apply); err != nil {
		return err
	}
	for _, f := range long {
		if f.low == 0 {
			return noRoom(prompts[f.prompt], len(f.ids), limit)
		}
	}
	return nil
}

// lookAhead takes a longer prefix that is also short enough.
func lookAhead(long []*fit, limit int, apply func([]chat.Conversation) ([][]int32, error)) error {
	var cuts []chat.Conversation
	var of []*fit
	var at []int
	for _, f := range long {
		for runes := f.low + 2; runes <= min(f.low+ahead, len(f.ends)-2); runes++ {
			cuts, of, at = append(cuts, f.cut(runes)), append(of, f), append(at, runes)
		}
	}
	all, err := applied(apply, cuts)
	if err != nil {
		return err
	}
	for i, f := range of {
		if len(all[i]) <= limit {
			f.low, f.ids = at[i], all[i]
		}
	}
	return nil
}

// noRoom returns the failure of a template that alone fills the prompt.
func noRoom(p Prompt, tokens, limit int) error {
	return note.Failf(codes.ClassConfig, fmt.Sprintf("raise workload.input_tokens well above %d, or use "+
		"workload.chat_template: none", tokens),
		"%s: the chat template, with the turns before the user's, has %d tokens around prompt %s, which "+
			"leaves no room "+
			"for its text within the %d of workload.input_tokens", p.Origin, tokens, p.ID, limit)
}
