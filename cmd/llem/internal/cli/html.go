package cli

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/llenergymeasure/llem/cmd/llem/internal/page"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// maxStudyFile is the size of the study file that the page shows in full, in bytes.
const maxStudyFile = 64 << 10

// htmlReport writes the report of a study as one page.
func (env *Env) htmlReport(res *result.StudyResult, path string) error {
	o := page.Options{Version: host.CurrentBuild().Version}
	if o.Version == "" {
		o.Version = "(unknown)"
	}
	text, err := disk.ReadFile(filepath.Join(res.Dir, store.StudyFile), disk.MaxSmall)
	if err != nil {
		return err
	}
	o.StudyFile = string(text)
	if len(text) > maxStudyFile {
		o.StudyFile = string(text[:maxStudyFile]) + "\n… (" + store.StudyFile + " has all of it)"
	}
	if path == "-" {
		return page.Write(env.Stdout, res, o)
	}
	if err := inFolder(path); err != nil {
		return err
	}
	err = disk.WriteFile(path, func(w io.Writer) error { return page.Write(w, res, o) })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, path)
	return err
}

// inFolder refuses a file whose folder is missing.
func inFolder(path string) error {
	dir := filepath.Dir(path)
	why := disk.NoFolder(dir)
	if why == "" {
		return nil
	}
	return &usageError{fmt.Sprintf("cannot write %s: %s", path, why),
		"create it (`mkdir -p " + shell.Quote(dir) + "`), or name another file"}
}
