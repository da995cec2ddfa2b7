package study

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/llenergymeasure/llem/internal/study/terms"
)

// What means the same is spelled in one way, as far as that is known without looking at
// the disk: whether a relative and an absolute path are the same file is not.

// hubName is what a repository of the hub is called, and also a path of two parts.
var hubName = regexp.MustCompile(`^[^/]+/[^/]+$`)

// canonicalModel spells the name of a model.
func canonicalModel(name string) string {
	const random = "random:"
	if len(name) >= len(random) && strings.EqualFold(name[:len(random)], random) {
		return strings.ToLower(name)
	}
	return canonicalPath(name, func(clean string) bool { return hubName.MatchString(clean) })
}

// canonicalDataset spells the name of a data set.
func canonicalDataset(name string) string {
	return canonicalPath(name, func(clean string) bool {
		return clean == "builtin" || clean == "synthetic" || strings.HasPrefix(clean, "hf:")
	})
}

// canonicalPath takes out of a path what leads nowhere, unless the rest would be the name
// of something else.
func canonicalPath(path string, other func(clean string) bool) string {
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

// halfByDefault is the engine on which auto is float16 for random models, as IDs of
// version [idVersion] have it.
const halfByDefault = "embedded"

// canonicalDType is auto where the type is the one that auto stands for in any case.
func canonicalDType(dtype, backend, model string) string {
	if dtype == "float16" && backend == halfByDefault && strings.HasPrefix(model, "random:") {
		return terms.DTypeAuto
	}
	return dtype
}

// canonical drops what a greedy choice does not look at.
func (d Decoding) canonical() Decoding {
	if d.Temperature == 0 {
		return Decoding{}
	}
	if d.TopP == 1 {
		d.TopP = 0
	}
	return d
}
