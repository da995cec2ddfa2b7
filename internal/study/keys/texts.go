package keys

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/grammar"
)

// PerBackend splits BACKEND=TEXT,…; a text without a backend applies to all others, under the key "". Backend
// names are not checked if the list is empty.
func PerBackend(text string, backends []string) (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			name, value = "", name
		}
		switch _, twice := out[name]; {
		case named && backends != nil && !slices.Contains(backends, name):
			return nil, grammar.Hinted("backends are "+strings.Join(backends, ", "), "names %q, which is not a backend",
				name)
		case value == "":
			return nil, errors.New("has an empty part")
		case twice:
			return nil, fmt.Errorf("has two values for %s", orAll(name))
		}
		out[name] = value
	}
	return out, nil
}

func orAll(name string) string {
	if name == "" {
		return "all backends"
	}
	return name
}

// CanonicalPath removes redundant parts of a path, unless the rest would name something else.
func CanonicalPath(path string, other func(clean string) bool) string {
	local := strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") || strings.HasPrefix(path, "/")
	if !local {
		return path
	}
	clean := filepath.Clean(path)
	if strings.HasPrefix(path, "./") && other(clean) {
		return "./" + clean
	}
	return clean
}
