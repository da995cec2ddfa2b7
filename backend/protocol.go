package backend

import (
	"github.com/llenergymeasure/llem/backend/chat"
	"github.com/llenergymeasure/llem/note"
)

// protocolVersion is the version of the worker protocol; parent and worker must
// agree on it exactly.
//
// The parent starts the worker with two pipes: the worker reads commands from
// file descriptor 3 and writes replies to file descriptor 4, one JSON object per
// line. Standard output and error belong to the engine's libraries; they go to
// the engine log and are never parsed.
//
//	parent → worker                      worker → parent
//	{"v":1,"id":1,"op":"hello"}          {"v":1,"id":1,"event":"hello","clock_ns":…}
//	{"id":2,"op":"load","load":{…}}      progress…, then {"event":"loaded","loaded":{…}}
//	{"id":2,"op":"adapt","load":{…}}     {"event":"loaded","loaded":{…}}, with the model left as it is
//	{"id":3,"op":"tokenize","texts":[…]} {"event":"tokens","tokens":[[…],…]}
//	{"id":3,"op":"template","chats":[…]} {"event":"tokens",…} in the chat template; not every worker can
//	{"id":4,"op":"run","run":{…}}        progress…, finished, requests…, steps…, done
//	{"id":4,"op":"pulse","pulse":{…}}    {"event":"pulsed","pulsed":{…}}; not every worker can
//	{"id":5,"op":"cancel"}               (no reply: the run answers)
//	{"id":6,"op":"stop"}                 {"event":"bye"}, then the process exits
//
// The reply to hello carries the worker's CLOCK_MONOTONIC. The parent's own
// readings before and after must enclose it: that proves that both sides read
// one clock. A worker that fails answers {"event":"error","failure":{…}}.
//
// The requests of a run arrive all at once, round by round. A worker whose
// "loaded" says "schedules":true takes more: with "open":true a request arrives
// "due_ns" after the start of the run, which is "start_ns" of "finished"; "after"
// names the request whose prompt and output come before its tokens, and which
// ended at least "wait_ns" earlier; "concurrency" bounds the requests in flight;
// "output" replaces "output_tokens"; "drain_ns" after the last arrival the run
// ends, and what is left is cut. Only such a worker is sent these. It looks for
// requests that are due between two steps, and in a pause it sleeps until the
// next one.
//
// Nothing is written between the start of a run and "finished" except progress
// between two batches, and once a second in a pause, so that a worker without
// requests is not taken for one that hangs. The logs follow after "finished", in parts of bounded
// size, so that no line grows without bound. A worker whose command
// pipe ends exits at once: it never outlives its parent.
const protocolVersion = 1

// mostSteps bounds the steps of a run.
const mostSteps = 1 << 23

// command is a line from the parent.
type command struct {
	V     int      `json:"v,omitempty"`
	ID    int64    `json:"id"`
	Op    string   `json:"op"`
	Load  *Spec    `json:"load,omitempty"`
	Texts []string `json:"texts,omitempty"`
	// Chats are conversations, for the chat template.
	Chats []chat.Conversation `json:"chats,omitempty"`
	Run   *Workload           `json:"run,omitempty"`
	// Pulse is a load for a sensor self-test.
	Pulse *pulseWork `json:"pulse,omitempty"`
}

// reply is a line from the worker.
type reply struct {
	V        int           `json:"v,omitempty"`
	ID       int64         `json:"id"`
	Event    string        `json:"event"`
	ClockNS  int64         `json:"clock_ns,omitempty"`
	Info     *Info         `json:"info,omitempty"`
	Loaded   *Loaded       `json:"loaded,omitempty"`
	Tokens   [][]int32     `json:"tokens,omitempty"`
	Phase    string        `json:"phase,omitempty"`
	Fraction float64       `json:"fraction,omitempty"`
	Done     int           `json:"done,omitempty"`
	Requests []Request     `json:"requests,omitempty"`
	Steps    []Step        `json:"steps,omitempty"`
	Finished *finished     `json:"finished,omitempty"`
	Pulsed   *pulsed       `json:"pulsed,omitempty"`
	Failure  *note.Failure `json:"failure,omitempty"`
}

// finished closes a measured run.
type finished struct {
	StartNS         int64  `json:"start_ns"`
	EndNS           int64  `json:"end_ns"`
	PeakMemoryBytes int64  `json:"peak_memory_bytes,omitempty"`
	MemorySource    string `json:"memory_source,omitempty"`
	StepClock       string `json:"step_clock,omitempty"`
}

// Events of the protocol.
const (
	eventHello    = "hello"
	eventProgress = "progress"
	eventLoaded   = "loaded"
	eventTokens   = "tokens"
	eventFinished = "finished"
	eventRequests = "requests"
	eventSteps    = "steps"
	eventDone     = "done"
	eventPulsed   = "pulsed"
	eventError    = "error"
	eventBye      = "bye"
)
