package disk

import "bytes"

// Look describes a file in place of the expected one.
type Look struct {
	What string // completes "it is"
	Next string // the next step
}

// Error describes the file.
func (l *Look) Error() string { return "it is " + l.What }

// looks are files that downloads leave in place of the real one, by their first bytes.
var looks = []struct {
	start string
	look  Look
}{
	{"version https://git-lfs.github.com/", Look{"a Git LFS pointer, not the file itself",
		"run git lfs pull in its folder, or fetch it with the Hugging Face command line"}},
	{"<!doctype html", Look{"an HTML page, such as a login or an error page",
		"open it in a browser; fetch the file with a token, or from its resolve/ address"}},
	{"<html", Look{"an HTML page, such as a login or an error page",
		"open it in a browser; fetch the file with a token, or from its resolve/ address"}},
	{"\xef\xbb\xbf", Look{"a text with a byte order mark, which engines cannot read",
		"save it as UTF-8 without a byte order mark"}},
}

// LookOf recognises, by its first bytes, a file that is often found in place of a model's file: a Git LFS
// pointer, an HTML page, a text with a byte order mark.
func LookOf(start []byte) (*Look, bool) {
	start = bytes.ToLower(bytes.TrimLeft(start[:min(len(start), 512)], " \t\r\n"))
	for _, l := range looks {
		if bytes.HasPrefix(start, []byte(l.start)) {
			return &l.look, true
		}
	}
	return nil, false
}
