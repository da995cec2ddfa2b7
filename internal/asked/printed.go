package asked

import (
	"io"
	"math"
	"regexp"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
)

// mostPrinted bounds how much of a server's start-up output is read.
const mostPrinted = 8 << 20

// Printed returns what a server has printed into its log so far; nothing if it cannot be read.
func Printed(path string) string {
	f, err := disk.Open(path, math.MaxInt64)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostPrinted))
	if err != nil {
		return ""
	}
	return string(text)
}

// Found returns the first group of each pattern found in a server's output, by key. In a list the first pattern
// that is found counts, and of several matches the last one.
func Found(text string, patterns map[string][]*regexp.Regexp) map[string]string {
	out := map[string]string{}
	for key, list := range patterns {
		for _, p := range list {
			if all := p.FindAllStringSubmatch(text, -1); len(all) > 0 {
				out[key] = strings.Trim(all[len(all)-1][1], `'" `)
				break
			}
		}
	}
	return out
}
