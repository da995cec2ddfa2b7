package note

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"testing"
)

func TestListWarns(t *testing.T) {
	var l List
	l.Warn("noisy_host", "100 % busy")
	l.Warnf("swap_in_use", "%d GiB", 2)
	l.Warn("noisy_host", "again")
	if got, want := l.Codes(), []Code{"noisy_host", "swap_in_use"}; !slices.Equal(got, want) {
		t.Errorf("codes %v, want %v", got, want)
	}
	if n, ok := l.Find("noisy_host"); !ok || n.Message != "100 % busy" {
		t.Errorf("found %+v, %v, want the first", n, ok)
	}
	if n, ok := l.Find("throttled"); ok {
		t.Errorf("found %+v", n)
	}
}

func TestFailure(t *testing.T) {
	f := &Failure{Class: "config", Message: "read x", Next: "make it", LogTail: "log", Err: fs.ErrNotExist}
	if got, want := f.Error(), "read x: file does not exist"; got != want || !errors.Is(f, fs.ErrNotExist) {
		t.Errorf("error %q, want %q with its cause", got, want)
	}
	text, err := json.Marshal(f.Whole())
	const want = `{"class":"config","message":"read x: file does not exist","next":"make it","log_tail":"log"}`
	if err != nil || string(text) != want {
		t.Errorf("JSON %s (%v), want %s", text, err, want)
	}
	if f := Failf("hung", "wait", "%d s", 3); f.Message != "3 s" || f.Next != "wait" || f.Class != "hung" {
		t.Errorf("failure %+v", f)
	}
}

// sensor embeds a note and had other keys in earlier versions.
type sensor struct {
	Source string `json:"source"`
	Note
}

func (s *sensor) UnmarshalJSON(text []byte) error {
	type plain sensor
	if err := json.Unmarshal(text, (*plain)(s)); err != nil {
		return err
	}
	return s.ReadEarlier(text)
}

// TestReadsEarlierKeys: the keys hint, fix, reason and text of earlier versions are accepted.
func TestReadsEarlierKeys(t *testing.T) {
	for name, text := range map[string]string{
		"now":    `{"source": "a", "code": "c", "message": "m", "next": "n"}`,
		"fix":    `{"source": "a", "code": "c", "reason": "m", "fix": "n"}`,
		"hint":   `{"source": "a", "code": "c", "text": "m", "hint": "n"}`,
		"beside": `{"source": "a", "code": "c", "message": "m", "reason": "other", "next": "n", "hint": "other"}`,
	} {
		var got sensor
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := (sensor{"a", Note{"c", "m", "n"}}); got != want {
			t.Errorf("%s: read %+v, want %+v", name, got, want)
		}
	}
	for _, text := range []string{`{"class": "hung", "message": "m", "hint": "n", "log_tail": "l"}`,
		`{"class": "hung", "message": "m", "next": "n", "log_tail": "l", "reason": "other"}`} {
		var got Failure
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Error(err)
		}
		if want := (Failure{Class: "hung", Message: "m", Next: "n", LogTail: "l"}); got != want {
			t.Errorf("read %+v, want %+v", got, want)
		}
	}
}
