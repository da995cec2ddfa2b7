package metronome

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// stamped reads a connection and keeps when the last bytes came to the socket.
type stamped struct {
	raw syscall.RawConn
	oob [64]byte
	at  int64
}

// Read implements io.Reader.
func (r *stamped) Read(p []byte) (int, error) {
	n, oobn := 0, 0
	var failed error
	err := r.raw.Read(func(fd uintptr) bool {
		for {
			if n, oobn, _, _, failed = unix.Recvmsg(int(fd), p, r.oob[:], 0); !errors.Is(failed, unix.EINTR) {
				return !errors.Is(failed, unix.EAGAIN)
			}
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	r.at = clock.Mono()
	if wall, ok := arrival(r.oob[:oobn]); ok {
		if at := clock.Now().FromUnix(wall); at < r.at {
			r.at = at
		}
	}
	return n, nil
}

// arrival returns the kernel's stamp among control messages.
func arrival(oob []byte) (int64, bool) {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range list {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS &&
			len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return (*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano(), true
		}
	}
	return 0, false
}

// attend answers the requests of one connection, one after the other.
func (s *Server) attend(c net.Conn) {
	defer func() { _ = c.Close() }()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	in := &stamped{raw: raw}
	buffered := bufio.NewReaderSize(in, 64<<10)
	for {
		r, err := http.ReadRequest(buffered)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || !s.answer(c, r.URL.Path, body, in.at) || r.Close {
			return
		}
	}
}

// document is the part of a request that matters.
type document struct {
	Prompt        json.RawMessage `json:"prompt"`
	Messages      json.RawMessage `json:"messages"`
	MaxTokens     int             `json:"max_tokens"`
	MaxCompletion int             `json:"max_completion_tokens"`
	Stream        bool            `json:"stream"`
	ReturnIDs     bool            `json:"return_token_ids"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// answer answers one request; false ends the connection.
func (s *Server) answer(c net.Conn, path string, body []byte, received int64) bool {
	chat := strings.HasSuffix(path, "/chat/completions")
	switch {
	case chat, strings.HasSuffix(path, "/completions"):
		var d document
		if err := json.Unmarshal(body, &d); err != nil {
			return page(c, "400 Bad Request", []byte(err.Error())) == nil
		}
		return s.complete(c, d, chat, received)
	case path == "/health":
		return page(c, "200 OK", nil) == nil
	case path == "/v1/models":
		return page(c, "200 OK", fmt.Appendf(nil, `{"object":"list","data":[{"id":%q,"object":"model","created":1,`+
			`"owned_by":"llem","root":%q,"parent":null,"max_model_len":65536}]}`, s.o.Model, s.o.Model)) == nil
	}
	if s.o.Page != nil {
		if text, ok := s.o.Page(path, body); ok {
			return page(c, "200 OK", text) == nil
		}
	}
	return page(c, "404 Not Found", []byte(`{"error":{"message":"not found"}}`)) == nil
}

// page writes a whole answer.
func page(c net.Conn, status string, text []byte) error {
	kind := "application/json"
	if !bytes.HasPrefix(text, []byte("{")) {
		kind = "text/plain"
	}
	_, err := c.Write(fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, kind,
		len(text), text))
	return err
}

// prompted returns the first token id and the number of tokens of a prompt; a byte of text is a token.
func prompted(prompt json.RawMessage) (key, tokens int) {
	var ids []int
	if json.Unmarshal(prompt, &ids) == nil && len(ids) > 0 {
		return ids[0], len(ids)
	}
	return -1, len(prompt)
}

// complete answers a request for tokens.
func (s *Server) complete(c net.Conn, d document, chat bool, received int64) bool {
	n := max(d.MaxTokens, d.MaxCompletion)
	if n == 0 {
		n = 16
	}
	key, prompt := prompted(d.Prompt)
	if chat {
		prompt = len(d.Messages)
	}
	q := &stream{conn: c, due: received + int64(s.o.First), left: n, done: make(chan struct{}),
		Answer: Answer{Key: key, ReceivedNS: received, BeforeNS: make([]int64, 0, n), AfterNS: make([]int64, 0, n)}}
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}`, prompt, prompt+n, n)
	if !d.Stream {
		q.left, q.due = 1, q.due+int64(n-1)*int64(s.o.Step)
		text := s.choice(d, chat, false, strings.Repeat("a", n), `"length"`, usage)
		q.final = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			len(text), text)
		s.submit(q, prompt)
		return !q.Lost
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n"); err != nil {
		return false
	}
	q.event = chunk("data: " + s.choice(d, chat, true, "a", "null", "null") + "\n\n")
	q.final = chunk("data: " + s.choice(d, chat, true, "a", `"length"`, "null") + "\n\n")
	trail := "data: [DONE]\n\n"
	if d.StreamOptions.IncludeUsage {
		trail = fmt.Sprintf("data: {\"id\":\"cmpl-1\",\"object\":%q,\"created\":1,\"model\":%q,\"choices\":[],"+
			"\"usage\":%s}\n\n", object(chat, true), s.o.Model, usage) + trail
	}
	q.trail = append(chunk(trail), "0\r\n\r\n"...)
	s.submit(q, prompt)
	return !q.Lost
}

// chunk frames a part of a body.
func chunk(text string) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(text), text) }

// object is the type of a document in the interface of OpenAI.
func object(chat, stream bool) string {
	switch {
	case chat && stream:
		return "chat.completion.chunk"
	case chat:
		return "chat.completion"
	}
	return "text_completion"
}

// choice returns a document with a piece of output.
func (s *Server) choice(d document, chat, stream bool, text, finish, usage string) string {
	content := fmt.Sprintf(`"text":%q`, text)
	switch {
	case chat && stream:
		content = fmt.Sprintf(`"delta":{"role":"assistant","content":%q}`, text)
	case chat:
		content = fmt.Sprintf(`"message":{"role":"assistant","content":%q}`, text)
	}
	if d.ReturnIDs {
		content += `,"token_ids":[97` + strings.Repeat(",97", len(text)-1) + `]`
	}
	return fmt.Sprintf(`{"id":"cmpl-1","object":%q,"created":1,"model":%q,"choices":[{"index":0,%s,"logprobs":null,`+
		`"finish_reason":%s,"stop_reason":null}],"usage":%s}`, object(chat, stream), s.o.Model, content, finish, usage)
}
