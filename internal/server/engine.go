package server

import (
	"context"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/internal/asked"
)

// Engine is the part that differs between engines. Its methods may be called concurrently.
type Engine interface {
	// Name is the name used in study files.
	Name() string
	// Launch returns how to start a server for spec that listens on port of this machine's loopback address. It may
	// write files; Cleanup of the launch removes them.
	Launch(ctx context.Context, spec backend.Spec, port int) (Launch, error)
	// Request returns one request of a stream.
	Request(spec backend.Spec, p backend.Prompt, output int) Request
	// Read interprets the data of one event of a stream. An error means that the engine broke its own format.
	Read(data []byte) (Event, error)
}

// Launch is how a server is started.
type Launch struct {
	// Command starts the server.
	Command backend.Command
	// Health is the path that answers 200 once requests can be served.
	Health string
	// Loaded is what is known of the engine before it is queried; Describe completes it.
	Loaded backend.Loaded
	// Together is the minimum number of requests that the engine runs at once if the study does not bound it; 0 if
	// unknown.
	Together int
	// Cache is how the server empties its prefix cache; zero if the study does not enable one.
	Cache Cache
	// Known are the options that the program has; nil if it does not list them.
	Known asked.Known
	// Cleanup removes the files of the launch; nil if there are none.
	Cleanup func()
}

// Cache is the path that empties a prefix cache, and the key of a study that enables the cache.
type Cache struct{ Path, Key string }

// Request is a request with a JSON body, answered by a stream of events.
type Request struct {
	// Path of the request on the server.
	Path string
	// Body is the JSON document that is sent.
	Body []byte
	// Repeats reports that each event of the answer contains the whole output so far.
	Repeats bool
}

// Event is the content of one event of a stream.
type Event struct {
	// Tokens is the number of output tokens in the event. Engines that count the tokens of the request so far set
	// Total instead, which includes tokens without an event.
	Tokens, Total int
	// Hidden is how many tokens of Total, besides tokens with an id, the event may represent: a larger count is
	// rejected.
	Hidden int
	// IDs are the token ids, if the engine sends them: of the new tokens, or of all.
	IDs []int32
	// Finish is why the output ended, in the engine's word; "" until then.
	Finish string
	// Done marks the end of the stream, if the engine sends one.
	Done bool
	// Usage is the engine's own count; nil in events without one.
	Usage *Usage
	// Failure is the engine's message about a failed request.
	Failure string
	// Queued is how long the request was in the engine's queue, and Prefill how long the engine then took for its
	// prompt; nil if not reported.
	Queued, Prefill *time.Duration
}

// Usage is the engine's count of tokens.
type Usage struct {
	// Prompt and Output are numbers of tokens.
	Prompt, Output int
	// Cached prompt tokens were not computed.
	Cached int
}

// Describer is an [Engine] that can query a running server.
type Describer interface {
	// Describe completes l with what the running server reports.
	Describe(ctx context.Context, ask Ask, l *backend.Loaded) error
}

// Tokenizer is an [Engine] whose server turns texts into token ids.
type Tokenizer interface {
	// Tokenize returns the token ids of a text.
	Tokenize(ctx context.Context, ask Ask, text string) ([]int32, error)
}

// Templater is an [Engine] whose server can apply its model's chat template.
type Templater interface {
	// Template returns the token ids of a conversation in the template.
	Template(ctx context.Context, ask Ask, c chat.Conversation) ([]int32, error)
}

// Counted is an [Engine] whose server counts tokens while it works.
type Counted interface {
	// Counters returns the current counts.
	Counters(ctx context.Context, ask Ask) (Counters, error)
}

// Counters are totals since the server started, except Running.
type Counters struct {
	Prompt float64 // prompt tokens, including tokens found in a cache
	Cached float64 // prompt tokens found in a cache
	// Output tokens; 0 if the engine counts them late or with others: then their times come from the streams.
	Output  float64
	Steps   float64 // of the engine; 0 if it does not count them
	Running float64 // sequences in the batch now
	Waiting float64 // requests in the queue now; 0 if not reported
}

// Ask sends a short request to the server: an answer other than 200 is an error.
type Ask func(ctx context.Context, method, path string, body []byte) ([]byte, error)
