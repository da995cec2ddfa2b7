package foreign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/disk"
)

// ImportedFile has the numbers of others, in a folder of its own. The folder is not a study: it has no runs, and
// nothing of it is pooled with runs or put on a front with them.
const ImportedFile = "imported.json"

// copies is the folder of the files themselves.
const copies = "files"

// importedSchema is the version of imported.json.
const importedSchema = 1

// Imported is the content of imported.json.
type Imported struct {
	// SchemaVersion is the version of this format.
	SchemaVersion int `json:"schema_version"`
	// MeasuredByLLEM is false: the numbers were taken from the files of others as they are.
	MeasuredByLLEM bool `json:"measured_by_llem"`
	// When is the time of the import.
	When time.Time `json:"imported"`
	// Results are the numbers, a benchmark each.
	Results []Numbers `json:"results"`
	// Dir is the folder.
	Dir string `json:"-"`
}

// IsImported reports whether a folder holds the numbers of others.
func IsImported(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ImportedFile))
	return err == nil
}

// Open reads the numbers of others from their folder.
func Open(dir string) (*Imported, error) {
	path := filepath.Join(dir, ImportedFile)
	text, err := disk.ReadFile(path, disk.MaxList)
	if err != nil {
		return nil, err
	}
	i := &Imported{Dir: dir}
	if err := json.Unmarshal(text, i); err != nil {
		return nil, &Mistake{fmt.Sprintf("%s: %v", path, err),
			"import the files again: llem import " + filepath.Join(dir, copies) + "/*"}
	}
	if i.SchemaVersion != importedSchema {
		return nil, &Mistake{fmt.Sprintf("%s has schema_version %d, and this llem reads %d", path, i.SchemaVersion,
			importedSchema), "use the version of llem that imported it, or import the files again"}
	}
	return i, nil
}

// Import reads files of others and writes their numbers, with copies of the files, to a new folder below results.
func Import(files []string, results string, now time.Time) (*Imported, error) {
	i := &Imported{SchemaVersion: importedSchema, When: now.UTC().Truncate(time.Second)}
	texts := map[string][]byte{}
	for _, path := range files {
		text, err := disk.ReadFile(path, disk.MaxList)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &Mistake{"no such file: " + path, "give the path of a file that one of these programs wrote"}
		}
		if err != nil {
			return nil, err
		}
		name := free(texts, filepath.Base(path))
		found, err := taken(path, name, text)
		if err != nil {
			return nil, err
		}
		texts[name] = text
		i.Results = append(i.Results, found...)
	}
	return i, i.write(filepath.Join(results, "imported-"+now.UTC().Format("20060102T150405Z")), texts)
}

// free returns a name that no other file has.
func free(taken map[string][]byte, name string) string {
	for n := 2; taken[name] != nil; n++ {
		name = fmt.Sprintf("%d-%s", n, name)
	}
	return name
}

// write makes the folder: under another name first, so that it is whole or absent.
func (i *Imported) write(dir string, texts map[string][]byte) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return disk.Problem("create", parent, err)
	}
	temporary, err := os.MkdirTemp(parent, ".imported-*")
	if err != nil {
		return disk.Problem("create", parent, err)
	}
	defer os.RemoveAll(temporary)
	kept := filepath.Join(temporary, copies)
	if err := os.Mkdir(kept, 0o777); err != nil {
		return disk.Problem("create", kept, err)
	}
	for name, text := range texts {
		err := disk.WriteFile(filepath.Join(kept, name),
			func(w io.Writer) error { _, err := w.Write(text); return err })
		if err != nil {
			return err
		}
	}
	err = disk.WriteFile(filepath.Join(temporary, ImportedFile),
		func(w io.Writer) error { return disk.EncodeJSON(w, i) })
	if err != nil {
		return err
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return disk.Problem("create", dir, err)
	}
	for n := 2; ; n++ {
		err := os.Rename(temporary, dir)
		if err == nil {
			i.Dir = dir
			return nil
		}
		if !os.IsExist(err) || n > 100 {
			return disk.Problem("create", dir, err)
		}
		dir = fmt.Sprintf("%s-%d", dir, n)
	}
}

// Again reads the numbers again from the copies of the files, whose sums must be as at the import.
func (i *Imported) Again() (out []Numbers, err error) {
	seen := map[string]bool{}
	for _, r := range i.Results {
		if seen[r.File] {
			continue
		}
		seen[r.File] = true
		path := filepath.Join(i.Dir, copies, filepath.Base(r.File))
		text, err := disk.ReadFile(path, disk.MaxList)
		if err != nil {
			return nil, err
		}
		found, err := taken(path, r.File, text)
		if err != nil {
			return nil, err
		}
		if found[0].SHA256 != r.SHA256 {
			return nil, fmt.Errorf("%s has changed since it was imported", path)
		}
		out = append(out, found...)
	}
	return out, nil
}

// taken are the numbers of a file, which is kept under a name.
func taken(path, name string, text []byte) ([]Numbers, error) {
	found, err := Read(path, text)
	for k := range found {
		found[k].File, found[k].SHA256 = name, disk.Sum(text)
	}
	return found, err
}
