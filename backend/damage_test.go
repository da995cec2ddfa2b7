package backend_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/damage"
)

// recorded returns the replies of a worker in a session with one run of two requests.
func recorded(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	say := func(v map[string]any) {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	for id := 1; id <= 5; id++ {
		say(map[string]any{"v": 1, "id": id, "event": "hello", "clock_ns": 1000 + id,
			"info": map[string]any{"version": "1.2", "device": "cpu"}})
	}
	say(map[string]any{"id": 6, "event": "loaded", "loaded": map[string]any{"vocab": 300, "context": 128}})
	say(map[string]any{"id": 7, "event": "finished", "finished": map[string]any{"start_ns": 1000, "end_ns": 9000}})
	for id := 1; id <= 2; id++ {
		say(map[string]any{"id": 7, "event": "requests", "requests": []map[string]any{{"id": id, "ok": true,
			"prompt_tokens": 1, "prompt_computed": 1, "output_tokens": 2, "submitted_ns": 1100,
			"prefill_start_ns": 1200,
			"first_token_ns":   2000, "end_ns": 3000, "token_ns": []int{2000, 3000}}}})
	}
	say(map[string]any{"id": 7, "event": "steps", "steps": []map[string]any{{"start_ns": 1200, "end_ns": 2000,
		"prefill_tokens": 2, "sequences": 2}, {"start_ns": 2000, "end_ns": 3000, "decode_tokens": 2, "sequences": 2}}})
	say(map[string]any{"id": 7, "event": "done"})
	return b.Bytes()
}

// TestDamagedReplies feeds damaged copies of a worker's replies to the parent. Replies carry no checksum: their
// pipe loses nothing. Every copy must end, and every breach of the protocol must be a failure.
func TestDamagedReplies(t *testing.T) {
	t.Parallel()
	seed := damage.Seed(t)
	replies := filepath.Join(t.TempDir(), "replies")
	worker := backend.Command{Path: "/bin/sh",
		Args: []string{"-c", "cat '" + replies + "' >&4; exec 4>&-; exec cat <&3 >/dev/null"}}
	f := damage.Format{Name: "replies of a worker", Names: []string{"worker", "engine"}, Intact: recorded(t),
		ByNature: "a pipe of this machine loses nothing", Read: func(text []byte) (string, error) {
			if err := os.WriteFile(replies, text, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := backend.StartWorker(t.Context(), "replayed", worker, backend.Spec{LogPath: os.DevNull},
				backend.WorkerOptions{StopTimeout: 20 * time.Millisecond, StallTimeout: time.Second})
			if err != nil {
				return "", err
			}
			defer s.Close()
			log, err := s.Run(t.Context(), work(2, 2))
			if err != nil {
				return "", err
			}
			return fmt.Sprint(log.StartNS, log.EndNS, log.Requests, log.Steps), nil
		}}
	damage.Table(t, []damage.Tally{f.Check(t, seed, damage.Number(60, 6))})
}
