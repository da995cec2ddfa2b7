package server

import (
	"io"
	"math"
	"regexp"
	"strings"

	"github.com/llenergymeasure/llem/internal/disk"
)

// mostPrinted bounds what is read of what a server has printed while it started.
const mostPrinted = 8 << 20

// Printed is what a server has printed so far into its log; nothing if it cannot be read.
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

// Found is what patterns find in what a server has printed, by the keys of the patterns: their first group. Of
// patterns in a list the first one that is found counts, and of several places the last one.
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
