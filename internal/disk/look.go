package disk

import "bytes"

// Look is something that stands where another file was expected.
type Look struct {
	What string // in a sentence that begins with "it is"
	Next string // what to do about it
}

// Error says what the file is.
func (l *Look) Error() string { return "it is " + l.What }

// looks are what downloads leave in place of a file, by how they start.
var looks = []struct {
	start string
	look  Look
}{
	{"version https://git-lfs.github.com/", Look{"a Git LFS pointer, not the file itself",
		"run git lfs pull in its folder, or fetch it with the Hugging Face command line"}},
	{"<!doctype html", Look{"an HTML page, such as a login or an error page",
		"look at it in a browser; fetch the file with a token, or from its resolve/ address"}},
	{"<html", Look{"an HTML page, such as a login or an error page",
		"look at it in a browser; fetch the file with a token, or from its resolve/ address"}},
	{"\xef\xbb\xbf", Look{"a text with a byte order mark, which no engine reads",
		"save it as UTF-8 without a byte order mark"}},
}

// LookOf names what a file is by its start, where that is one of the things that are often
// found in place of a model's file: a Git LFS pointer, an HTML page, a text with a byte order mark.
func LookOf(start []byte) (*Look, bool) {
	start = bytes.ToLower(bytes.TrimLeft(start[:min(len(start), 512)], " \t\r\n"))
	for _, l := range looks {
		if bytes.HasPrefix(start, []byte(l.start)) {
			return &l.look, true
		}
	}
	return nil, false
}
