package metronome

import (
	"bytes"
	"encoding/gob"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Name is how this program is told to be a metronome: llem worker metronome --port N.
const Name = "metronome"

// AnswersPath is the page with what has been answered so far; [ReadAnswers] decodes it.
const AnswersPath = "/metronome/answers"

// Main runs a metronome until the process is told to stop. The arguments are its options.
func Main(args []string) error {
	f := flag.NewFlagSet(Name, flag.ContinueOnError)
	port := f.Int("port", 0, "port of the loopback address")
	first := f.Duration("first", 50*time.Millisecond, "time to the first token")
	step := f.Duration("step", 10*time.Millisecond, "time between tokens")
	if err := f.Parse(args); err != nil {
		return err
	}
	l, err := Listen(*port)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	var s *Server
	s = New(Options{First: *first, Step: *step, Model: "llem", Page: func(path string, _ []byte) ([]byte, bool) {
		if path != AnswersPath {
			return nil, false
		}
		return WriteAnswers(s.Answers()), true
	}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-stop:
		return l.Close()
	}
}

// WriteAnswers encodes answers.
func WriteAnswers(list []Answer) []byte {
	var b bytes.Buffer
	_ = gob.NewEncoder(&b).Encode(list) // a buffer takes everything, and the type is plain
	return b.Bytes()
}

// ReadAnswers decodes the page of [AnswersPath].
func ReadAnswers(text []byte) ([]Answer, error) {
	var list []Answer
	if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&list); err != nil {
		return nil, fmt.Errorf("read the stamps of the metronome: %w", err)
	}
	return list, nil
}
