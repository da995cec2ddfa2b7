package versus

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/loads"
	"github.com/llenergymeasure/llem/cmd/llem/internal/named"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Find finds two configurations with their loads: a folder, FOLDER:KEY=VALUE with keys that tell its configurations
// apart, or FOLDER:ID for one load. The second may leave out the folder. Studies are judged by an objective, if one is
// given. It returns nothing if the arguments name two runs without loads, or one load each without an objective:
// package compare compares these.
func Find(first, second string, slo study.SLO, tell func(string)) ([]Side, error) {
	x, y := split(first), split(second)
	if y.dir == "" {
		y.dir = x.dir
	}
	if !slo.Set() && x.isID() && y.isID() {
		return nil, nil
	}
	out := make([]Side, 2)
	known := map[string]*result.StudyResult{}
	var plain []string
	for i, arg := range []name{x, y} {
		s := known[arg.dir]
		if s == nil {
			var err error
			if s, err = named.Study(arg.dir, tell); s == nil || err != nil {
				return nil, err
			}
			known[arg.dir] = s
		}
		all, err := loads.Of(s)
		if err != nil {
			return nil, err
		}
		if len(all.Groups) == 0 {
			plain = append(plain, arg.dir)
			continue
		}
		out[i].Study, out[i].Machine = s, nodes.Machine(s.Dir)
		if out[i].Group, err = groupOf(arg, all); err != nil {
			return nil, err
		}
		out[i].own = out[i].slo()
	}
	switch {
	case len(plain) == 2 && slo.Set():
		return nil, &named.Mistake{What: "--slo: neither side has a load",
			Next: "compare studies with workload.load or workload.slo, or leave out --slo"}
	case len(plain) == 2:
		return nil, nil
	case len(plain) == 1:
		return nil, &named.Mistake{What: plain[0] + " has no load, and the other side has some: how much a batch " +
			"takes " +
			"depends on its size, and how much a load takes on its rate",
			Next: "name a study with workload.load, or compare one configuration of each as " +
				shell.Quote(plain[0]+":ID")}
	}
	if slo.Set() {
		for _, s := range known {
			if err := loads.Judge(s, slo); err != nil {
				return nil, err
			}
		}
		for i, arg := range []name{x, y} {
			all, err := loads.Of(out[i].Study)
			if err != nil {
				return nil, err
			}
			if out[i].Group, err = groupOf(arg, all); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// name is an argument: a folder, and what of it.
type name struct{ dir, what string }

// split returns the folder and what follows it. Values of keys may contain colons.
func split(arg string) name {
	if _, err := os.Stat(arg); err == nil {
		return name{arg, ""}
	}
	for i, r := range arg {
		if r != ':' {
			continue
		}
		if info, err := os.Stat(arg[:i]); i == 0 || err == nil && info.IsDir() {
			return name{arg[:i], arg[i+1:]}
		}
	}
	dir, what := named.Split(arg)
	return name{dir, what}
}

var id = regexp.MustCompile(`^[0-9a-f]+$`)

func (n name) isID() bool { return id.MatchString(n.what) }

// groupOf finds the configuration that an argument names.
func groupOf(arg name, all loads.Study) (loads.Group, error) {
	bases := make([]study.Experiment, len(all.Groups))
	for i, g := range all.Groups {
		bases[i] = g.Base
	}
	varying := naming.Varying(bases)
	var found []loads.Group
	for _, g := range all.Groups {
		if arg.isID() {
			g.Points = slices.DeleteFunc(slices.Clone(g.Points), func(p loads.Point) bool {
				return !strings.HasPrefix(p.Summary.ID, arg.what)
			})
			if len(g.Points) == 1 {
				found = append(found, g)
			}
		} else if matches(arg.what, g.Base, varying) {
			found = append(found, g)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	what := fmt.Sprintf("%s has %s at several loads", arg.dir, digits.Count(len(all.Groups), "configuration"))
	if arg.what != "" {
		what += fmt.Sprintf(", and %q names %d of them", arg.what, len(found))
	}
	var names []string
	for _, g := range all.Groups {
		names = append(names, loads.Selector(g, all.Groups))
	}
	next := "name one of " + strings.Join(names, ", ") + ", as " + shell.Quote(arg.dir+":"+names[0])
	if names[0] == "" {
		next = "give the folder alone, or one load as " + shell.Quote(arg.dir+":ID")
	}
	return loads.Group{}, &named.Mistake{What: what, Next: next}
}

// matches reports whether each part of a text is KEY=VALUE of a configuration; a key may be its last words alone.
func matches(text string, e study.Experiment, varying []naming.Key) bool {
	if text == "" {
		return true
	}
	for part := range strings.SplitSeq(text, ",") {
		key, value, both := strings.Cut(part, "=")
		if !slices.ContainsFunc(varying, func(k naming.Key) bool {
			if !both {
				return k.Text(e) == part
			}
			return (k.Name == key || strings.HasSuffix(k.Name, "."+key)) && k.Text(e) == value
		}) {
			return false
		}
	}
	return true
}

// Excluded are the runs of a side that were ok and are not compared, by reason.
func (s Side) Excluded() (out []result.Exclusion) {
	for _, p := range s.Group.Points {
		for _, x := range p.Summary.Excluded {
			i := slices.IndexFunc(out, func(y result.Exclusion) bool { return y.Note == x.Note })
			if i < 0 {
				out = append(out, x)
			} else {
				out[i].Runs += x.Runs
			}
		}
	}
	return out
}
