package server

import (
	"context"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
)

// Engine is what is particular to one engine. Its methods may be called concurrently.
type Engine interface {
	// Name is the name used in study files.
	Name() string
	// Launch says how a server for spec is started that listens on port of this
	// machine's loopback address. It may write files; Cleanup of the launch removes them.
	Launch(ctx context.Context, spec backend.Spec, port int) (Launch, error)
	// Request is one request of a stream.
	Request(spec backend.Spec, p backend.Prompt, output int) Request
	// Read interprets the data of one event of a stream. An error says that the
	// engine broke its own format.
	Read(data []byte) (Event, error)
}

// Launch is how a server is started.
type Launch struct {
	// Command starts the server.
	Command backend.Command
	// Health is the path that answers 200 once requests can be served.
	Health string
	// Loaded is what is known of the engine before it is asked; Describe completes it.
	Loaded backend.Loaded
	// Together is how many requests the engine runs at once at least, where the study does not
	// bound them; 0 where that is not known.
	Together int
	// Known are the options that the program has; nil where it does not say.
	Known Known
	// Cleanup removes what the launch has written; nil if nothing.
	Cleanup func()
}

// Request is a request with a JSON body, answered by a stream of events.
type Request struct {
	// Path of the request on the server.
	Path string
	// Body is the JSON document that is sent.
	Body []byte
	// Repeats says that each event of the answer holds the whole output so far.
	Repeats bool
}

// Event is what one event of a stream says.
type Event struct {
	// Tokens is how many output tokens the event brings. Engines that count the tokens
	// of the request so far give Total instead: it also counts tokens without an event.
	Tokens, Total int
	// Hidden is how many tokens of Total, beside those with an id, the event may stand for:
	// a count that goes further is not believed.
	Hidden int
	// IDs are their ids, where the engine gives them: of the new tokens, or of all.
	IDs []int32
	// Finish is why the output ended, in the engine's word; "" before.
	Finish string
	// Done marks the end of the stream where the engine sends one.
	Done bool
	// Usage is the engine's own count; nil in events that have none.
	Usage *Usage
	// Failure is the engine's message about a request that failed.
	Failure string
	// Queued is how long the request was in the engine's queue, and Prefill how long the
	// engine then took for its prompt; nil where it does not say.
	Queued, Prefill *time.Duration
}

// Usage counts tokens as the engine does.
type Usage struct {
	// Prompt and Output are numbers of tokens.
	Prompt, Output int
	// Cached prompt tokens were not computed.
	Cached int
}

// Describer is an [Engine] that can say more about a server that runs.
type Describer interface {
	// Describe completes l with what the running server says about itself.
	Describe(ctx context.Context, ask Ask, l *backend.Loaded) error
}

// Tokenizer is an [Engine] whose server turns texts into token ids.
type Tokenizer interface {
	// Tokenize returns the token ids of a text.
	Tokenize(ctx context.Context, ask Ask, text string) ([]int32, error)
}

// Templater is an [Engine] whose server puts a conversation into the chat template of its
// model.
type Templater interface {
	// Template returns the token ids of a conversation in the template.
	Template(ctx context.Context, ask Ask, c chat.Conversation) ([]int32, error)
}

// Counted is an [Engine] whose server counts tokens while it works.
type Counted interface {
	// Counters reads the counts of this moment.
	Counters(ctx context.Context, ask Ask) (Counters, error)
}

// Counters are totals since the server started, but for Running.
type Counters struct {
	Prompt float64 // tokens, those found in a cache included
	Cached float64 // prompt tokens found in a cache
	// Output tokens; 0 where the engine counts them late or with others: then the
	// streams say when they came.
	Output  float64
	Steps   float64 // of the engine; 0 if it does not count them
	Running float64 // sequences in the batch now
	Waiting float64 // requests in the queue now; 0 where the engine does not say
}

// Ask sends a short request to the server: an answer other than 200 is an error.
type Ask func(ctx context.Context, method, path string, body []byte) ([]byte, error)
