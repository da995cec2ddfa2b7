package termsvg

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestSVG: the characters of a text stand at their columns, with their styles, and the picture is XML.
func TestSVG(t *testing.T) {
	t.Parallel()
	got := string(SVG("a\x1b[1;32mb<c\x1b[0m   \x1b[2md\x1b[0m\n\x1b[2K▇▇ x\n\n", 10))
	for _, want := range []string{
		`<svg xmlns="http://www.w3.org/2000/svg" width="112" height="90"`, // 10 columns, 2 lines
		`<text x="14.0" y="54" textLength="8.4">a</text>`,
		`<text x="22.4" y="54" textLength="25.2" fill="#3fb950" font-weight="bold">b&lt;c</text>`,
		`<text x="72.8" y="54" textLength="8.4" opacity="0.6">d</text>`,
		`<text x="14.0" y="72" textLength="33.6">▇▇ x</text>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
	d := xml.NewDecoder(strings.NewReader(got))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if wide := string(SVG(strings.Repeat("x", 20), 10)); !strings.Contains(wide, `width="196"`) {
		t.Errorf("a line of 20 columns does not widen the picture: %s", wide)
	}
}
