package scrub

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/secret"
)

// rule replaces a kind of text.
type rule struct {
	what, with string
	pattern    *regexp.Regexp
	// keep reports whether the first group of the pattern stays, in front.
	keep bool
	// table, if not nil, has the replacement of each text that the pattern matches; others stay.
	table map[string]string
	// here counts replacements in one file, files and times in all.
	here, files, times int
}

// Shortest texts that are replaced: shorter ones occur in ordinary words and numbers.
const (
	shortestSecret = 8
	shortestName   = 4
	shortestHome   = 6
)

// tokens are secrets that are known by their form.
var tokens = []struct {
	what, with string
	pattern    *regexp.Regexp
	keep       bool
}{
	{"token of the Hugging Face hub", "REDACTED_TOKEN", regexp.MustCompile(`\bhf_[A-Za-z0-9]{20,}`), false},
	{"key of an API", "REDACTED_KEY", regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{20,}`), false},
	{"token of GitHub", "REDACTED_TOKEN", regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})`),
		false},
	{"key of AWS", "REDACTED_KEY", regexp.MustCompile(`\bA(?:KIA|SIA)[A-Z0-9]{16}\b`), false},
	{"token of Weights & Biases or Slack", "REDACTED_TOKEN",
		regexp.MustCompile(`\b(?:xox[abpr]-[\w-]{10,}|wandb_v1_\w{20,})`), false},
	{"token of a bearer", "REDACTED_TOKEN", regexp.MustCompile(`(?i)(\bbearer\s+)[A-Za-z0-9._~+/-]{16,}=*`), true},
	{"user and password in an address", "", regexp.MustCompile(`(://)[^/\s"'@\\]+@`), true},
	{"private key", "REDACTED_KEY",
		regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----END [A-Z ]*PRIVATE KEY-----`), false},
}

// homes matches the folders of users.
var homes = regexp.MustCompile(`((?:^|[^\w.-])/(?:home|Users)/)[^/\s"'\\:;,)]+`)

// rulesOf returns what is replaced, the most specific texts first.
func rulesOf(o Options) ([]rule, error) {
	var out []rule
	dirs, err := folders(o.Dir)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		out = append(out, literal("folder of the study", filepath.Base(d), d, false))
	}
	for _, kv := range o.Environ {
		name, value, _ := strings.Cut(kv, "=")
		if secret.IsSecret(name) && len(value) >= shortestSecret {
			out = append(out, literal("value of "+name, "REDACTED_"+name, value, false))
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok && len(p) >= shortestSecret {
				out = append(out, literal("password in "+name, "REDACTED_"+name, p, false))
			}
		}
	}
	for _, t := range tokens {
		out = append(out, rule{what: t.what, with: t.with, pattern: t.pattern, keep: t.keep})
	}
	for i, text := range o.Also {
		if len(text) < shortestName {
			return nil, fmt.Errorf("%q is too short to be replaced everywhere: at least %d characters", text,
				shortestName)
		}
		with := "REDACTED"
		if i > 0 { // different texts stay different
			with += "_" + strconv.Itoa(i+1)
		}
		out = append(out, literal("text of --scrub", with, text, false))
	}
	if len(o.Home) >= shortestHome && o.Home != "/root" {
		out = append(out, literal("folder of the user", "/home/user", o.Home, false))
	}
	out = append(out, rule{what: "folder of a user", with: "user", pattern: homes, keep: true})
	for _, name := range names(o.Hosts) {
		out = append(out, literal("name of this machine", "REDACTED_HOST", name, true))
	}
	return out, nil
}

// names are the names of a machine, with and without its domain, longest first.
func names(hosts []string) (out []string) {
	for _, h := range hosts {
		short, _, _ := strings.Cut(h, ".")
		for _, name := range []string{h, short} {
			if len(name) >= shortestName && !isOrdinary(strings.ToLower(name)) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

// ordinary are names of machines that tell nothing, and that are words of results.
var ordinary = []string{"localhost", "localdomain", "host", "node", "server", "worker", "compute", "linux", "debian",
	"ubuntu", "docker", "container", "llem", "power", "energy", "model", "device", "engine", "name", "study", "runs",
	"measured", "simulated", "workstation", "desktop", "laptop", "nvidia"}

// isOrdinary reports whether a name in small letters is one of the ordinary ones, or an engine's.
func isOrdinary(name string) bool {
	return slices.Contains(ordinary, name) || slices.Contains(engines.All().Names(), name)
}

// literal replaces a text, also as it is written within JSON.
func literal(what, with, text string, word bool) rule {
	forms := []string{regexp.QuoteMeta(text)}
	if quoted, err := json.Marshal(text); err == nil {
		if inner := string(quoted[1 : len(quoted)-1]); inner != text {
			forms = append(forms, regexp.QuoteMeta(inner))
		}
	}
	p := "(?:" + strings.Join(forms, "|") + ")"
	if word {
		p = `(?i)\b` + p + `\b`
	}
	return rule{what: what, with: with, pattern: regexp.MustCompile(p)}
}

// recordedDir matches the folder that a summary names.
var recordedDir = regexp.MustCompile(`(?m)^\s*"dir":\s*("(?:[^"\\]|\\.)*")`)

// folders are the absolute paths of the study, where it is and where it was measured; longest first.
func folders(dir string) (out []string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder %s: %w", dir, err)
	}
	out = append(out, abs)
	text, err := disk.ReadFile(filepath.Join(dir, summary), disk.MaxList)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, summary), err)
	}
	var recorded string
	if m := recordedDir.FindSubmatch(text); m != nil && json.Unmarshal(m[1], &recorded) == nil &&
		filepath.IsAbs(recorded) && strings.Count(recorded, "/") > 1 {
		out = append(out, recorded)
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(out), nil
}

// replace returns a text without what the rules replace, and counts.
func (c *copier) replace(text string) string {
	for i := range c.rules {
		text = c.rules[i].replace(text)
	}
	return text
}

// replace applies a rule.
func (r *rule) replace(text string) string {
	if !r.pattern.MatchString(text) {
		return text
	}
	return r.pattern.ReplaceAllStringFunc(text, func(found string) string {
		with := r.with
		switch {
		case r.table != nil:
			with = cmp.Or(r.table[found], found)
		case r.keep:
			with = r.pattern.FindStringSubmatch(found)[1] + with
		}
		if with != found {
			r.here++
		}
		return with
	})
}
