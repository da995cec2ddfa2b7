package site

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/llenergymeasure/llem/internal/secret"
)

// absolutePath is a path of a machine: it begins behind a delimiter and has at least two parts.
var absolutePath = regexp.MustCompile(`(^|[\s"'=(\[>,;])(/[\w.+@~%-]+(?:/[\w.+@~%-]+)+)/?`)

// publicRoots are folders that every machine has; paths below them tell nothing about this one.
var publicRoots = []string{"/sys/", "/proc/", "/dev/", "/usr/", "/etc/"}

// machineNames are the names of this machine and of its user's folder, if they are long enough to be told from words.
func machineNames() (names []string) {
	if host, err := os.Hostname(); err == nil && len(host) >= 5 && host != "localhost" {
		names = append(names, host)
	}
	if home, err := os.UserHomeDir(); err == nil && len(home) > 5 {
		names = append(names, home)
	}
	return names
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// clean returns a text without secrets, names of this machine and absolute paths, of which the last part stays.
func (b *builder) clean(text, dir string) string {
	text = strings.ReplaceAll(secret.Text(text), absolute(dir), filepath.Base(dir))
	for _, name := range b.private {
		text = strings.ReplaceAll(text, name, "…")
	}
	return absolutePath.ReplaceAllStringFunc(text, func(found string) string {
		parts := absolutePath.FindStringSubmatch(found)
		for _, root := range publicRoots {
			if strings.HasPrefix(parts[2], root) {
				return found
			}
		}
		return parts[1] + path.Base(parts[2])
	})
}

// cleanPage cleans a report, but for its own style and script, whose sums are in its policy.
func (b *builder) cleanPage(html, dir string) string {
	var out strings.Builder
	for _, own := range [][2]string{{"<style>", "</style>"}, {`<script type="module">`, "</script>"}} {
		before, rest, ok := strings.Cut(html, own[0])
		if !ok {
			continue
		}
		code, after, _ := strings.Cut(rest, own[1])
		out.WriteString(b.clean(before, dir) + own[0] + code + own[1])
		html = after
	}
	return out.String() + b.clean(html, dir)
}
