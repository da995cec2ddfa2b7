package pyjson

import "testing"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": 1}`:                         `{"a": 1}`,
		`{"a": [0.0, Infinity]}`:           `{"a": [0.0, null]}`,
		`{"a":-Infinity,"b":NaN}`:          `{"a":null,"b":null}`,
		`{"NaN": "Infinity"}`:              `{"NaN": "Infinity"}`,
		`{"a": "say \"NaN\"", "b": NaN}`:   `{"a": "say \"NaN\"", "b": null}`,
		`{"a": "back\\", "b": -Infinity }`: `{"a": "back\\", "b": null }`,
	} {
		if got := string(Plain([]byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		var v map[string]any
		if err := Unmarshal([]byte(in), &v); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	var v any
	if err := Unmarshal([]byte(`{"a": NaNs}`), &v); err == nil {
		t.Error("NaNs was read")
	}
}
