package scrub

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result/series"
)

// manifestFile has the checksums of a folder's files (see package store).
const manifestFile = store.ManifestFile

// text returns a file with its text replaced and its own checksums renewed.
func (c *copier) text(name string, old []byte) []byte {
	switch {
	case path.Base(name) == manifestFile:
		return c.manifest(name, old)
	case strings.HasPrefix(name, "journal") && strings.HasSuffix(name, ".jsonl"):
		return c.journal(old)
	case name == store.StudyFile:
		return store.ResealStudy(old, c.replace)
	}
	return []byte(c.replace(string(old)))
}

// manifest renews the checksums of changed files.
func (c *copier) manifest(name string, old []byte) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(string(old)) {
		sum, file, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if renewed := c.sums[path.Join(path.Dir(name), file)]; ok && len(sum) == 2*sha256.Size && renewed != "" {
			line = renewed + "  " + file + "\n"
		}
		out.WriteString(line)
	}
	return out.Bytes()
}

// What a line of a journal says of its run.
var (
	manifestSum = regexp.MustCompile(`"manifest_sha256":"[0-9a-f]{64}"`)
	runFolder   = regexp.MustCompile(`"run":"([^"\\]+)"`)
)

// journal renews the checksums of the lines and of the manifests. A line that was cut off by a crash stays.
func (c *copier) journal(old []byte) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(string(old)) {
		out.WriteString(store.ResealLine(line, func(text string) string {
			text = c.replace(text)
			if m := runFolder.FindStringSubmatch(text); m != nil {
				if sum := c.sums[path.Join(m[1], manifestFile)]; sum != "" {
					text = manifestSum.ReplaceAllString(text, `"manifest_sha256":"`+sum+`"`)
				}
			}
			return text
		}))
	}
	return out.Bytes()
}

// series returns a Parquet file with its texts replaced; nil if there is nothing to replace.
func (c *copier) series(from string) ([]byte, error) {
	switch filepath.Base(from) {
	case "power.parquet":
		return cleaned[series.Power](c, from)
	case "telemetry.parquet":
		return cleaned[series.Telemetry](c, from)
	case "counters.parquet":
		return cleaned[series.Counter](c, from)
	case "requests.parquet":
		return cleaned[series.Request](c, from)
	case "steps.parquet":
		return nil, nil // it has no texts
	}
	return nil, fmt.Errorf("%s is not a series of a run", filepath.Base(from))
}

func cleaned[T any](c *copier, from string) ([]byte, error) {
	rows, err := series.ReadFile[T](from)
	if err != nil {
		return nil, err
	}
	known, changed := map[string]string{}, false
	for i := range rows {
		row := reflect.ValueOf(&rows[i]).Elem()
		for _, field := range row.Fields() {
			if field.Kind() != reflect.String {
				continue
			}
			text := field.String()
			clean, ok := known[text]
			if !ok {
				clean = c.replace(text)
				known[text] = clean
			}
			if clean != text {
				field.SetString(clean)
				changed = true
			}
		}
	}
	if !changed {
		return nil, nil
	}
	var out bytes.Buffer
	if err := series.Write(&out, rows); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
