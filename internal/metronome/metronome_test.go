package metronome

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// serve starts a server and returns its address.
func serve(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	s := New(o)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { _ = l.Close(); <-served })
	return s, "http://" + l.Addr().String()
}

// post sends a request and returns the status and the body.
func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(bufio.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// TestStreams: each token is an event, and its write lies between stamps that follow the request.
func TestStreams(t *testing.T) {
	s, url := serve(t, Options{First: 3 * time.Millisecond, Step: time.Millisecond, Model: "m"})
	for _, c := range []struct{ path, body, event, usage string }{
		{"/v1/completions", `{"prompt":[5,6],"max_tokens":4,"stream":true,"return_token_ids":true,` +
			`"stream_options":{"include_usage":true}}`, `"text":"a","token_ids":[97]`, `"prompt_tokens":2`},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"max_completion_tokens":4,"stream":true}`,
			`"delta":{"role":"assistant","content":"a"}`, `data: [DONE]`},
		{"/v1/completions", `{"prompt":"xy","max_tokens":4}`, `"text":"aaaa"`, `"completion_tokens":4`},
	} {
		status, text := post(t, url+c.path, c.body)
		if status != 200 || !strings.Contains(text, c.event) || !strings.Contains(text, c.usage) {
			t.Errorf("%s: %d %s", c.body, status, text)
		}
	}
	answers := s.Answers()
	for until := time.Now().Add(time.Minute); len(answers) < 3 && time.Now().Before(until); answers = s.Answers() {
		time.Sleep(time.Millisecond) // the client may have the answer before the server has written it down
	}
	if len(answers) != 3 || answers[0].Key != 5 || answers[1].Key != -1 || len(answers[0].BeforeNS) != 4 ||
		len(answers[2].BeforeNS) != 1 {
		t.Fatalf("%+v", answers)
	}
	for _, a := range answers {
		if first := time.Duration(a.BeforeNS[0] - a.ReceivedNS); first < 3*time.Millisecond || a.Lost {
			t.Errorf("the first token was written %v after the request: %+v", first, a)
		}
		for i := range a.BeforeNS {
			if a.AfterNS[i] < a.BeforeNS[i] {
				t.Errorf("write %d ends before it begins", i)
			}
		}
		if !slices.IsSorted(a.BeforeNS) {
			t.Errorf("stamps %v", a.BeforeNS)
		}
	}
	if c := s.Counts(); c.Running != 0 || c.Output != 9 || c.Prompt < 2 {
		t.Errorf("%+v", c)
	}
	list, err := ReadAnswers(WriteAnswers(answers))
	if err != nil || len(list) != 3 || !slices.Equal(list[0].AfterNS, answers[0].AfterNS) {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestPages: health, models, pages of the caller, mistakes.
func TestPages(t *testing.T) {
	_, url := serve(t, Options{Model: "m", Page: func(path string, _ []byte) ([]byte, bool) {
		return []byte("mine"), path == "/metrics"
	}})
	for path, want := range map[string]string{"/health": "", "/v1/models": `"id":"m"`, "/metrics": "mine"} {
		if status, text := post(t, url+path, ""); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
	if status, _ := post(t, url+"/nowhere", ""); status != 404 {
		t.Errorf("an unknown path is answered with %d", status)
	}
	if status, _ := post(t, url+"/v1/completions", "{"); status != 400 {
		t.Errorf("a broken request is answered with %d", status)
	}
	if _, err := ReadAnswers([]byte("x")); err == nil {
		t.Error("text is not a list of answers")
	}
	if err := Main([]string{"--no-such"}); err == nil {
		t.Error("an unknown option is accepted")
	}
}
