package throughput

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/claim"
	"github.com/llenergymeasure/llem/internal/disk"
)

// presentSuffix ends the name of the file with the times at which a worker came and left: a line for each.
const presentSuffix = ".present"

// Come records in a folder that a worker is present from a time on.
func Come(dir, worker string, at time.Time) error {
	return record(dir, worker, presence{From: at.UTC()})
}

// Go records in a folder that a worker left at a time.
func Go(dir, worker string, at time.Time) error { return record(dir, worker, presence{To: at.UTC()}) }

func record(dir, worker string, p presence) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, worker+presentSuffix)
	f, err := disk.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644, disk.MaxSmall)
	if err == nil {
		_, err = f.Write(append(text, '\n'))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return disk.Problem("write the presence of the worker", path, err)
	}
	return nil
}

// presences reads when each worker of a folder was present. One that has not left was there until its last sign of life
// in the folder of claims.
func presences(dir, claims string) map[string][]presence {
	out := map[string][]presence{}
	list, _ := os.ReadDir(dir) // without it, the runs tell when their workers were there
	for _, e := range list {
		name, ok := strings.CutSuffix(e.Name(), presentSuffix)
		if !ok {
			continue
		}
		text, err := disk.ReadFile(filepath.Join(dir, e.Name()), disk.MaxSmall)
		if err != nil {
			continue
		}
		all := parse(text)
		if n := len(all); n > 0 && all[n-1].To.IsZero() {
			if seen, ok := claim.Seen(claims, name); ok {
				all[n-1].To = seen
			}
		}
		out[name] = all
	}
	return out
}

// parse reads the complete lines of a file.
func parse(text []byte) (all []presence) {
	lines := bufio.NewReader(strings.NewReader(string(text)))
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return all
		}
		var p presence
		switch {
		case json.Unmarshal(line, &p) != nil:
		case !p.From.IsZero():
			all = append(all, p)
		case len(all) > 0:
			all[len(all)-1].To = p.To
		}
	}
}
