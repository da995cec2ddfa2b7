package cli

import (
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/studies"
	"github.com/llenergymeasure/llem/study"
)

// resumed finds the study to resume.
func (env *Env) resumed(o *study.Options, f runFlags, options *llem.Options) (*study.Study, error) {
	dir := f.resume
	if why := disk.NoFolder(dir); dir != newest && why != "" {
		return nil, &usageError{why, "give the folder of a study, or nothing for the newest unfinished one"}
	}
	if dir == newest {
		var err error
		if dir, err = studies.Unfinished(options.Results, f.retry); err != nil {
			return nil, err
		}
	}
	options.Resume = dir
	var given *study.Study
	if o.Path != "" || len(o.Settings) > 0 {
		var err error
		if o.Path == "" && !slices.ContainsFunc(o.Settings, func(s study.Setting) bool { return s.Key == modelKey }) {
			return nil, &usageError{
				fmt.Sprintf("--resume continues a study as it was started, and %s alone is not a study",
					o.Settings[0].Flag),
				"leave it out to continue; to change the study, start a new one without --resume"}
		}
		if given, err = study.Load(*o); err != nil {
			return nil, err
		}
	}
	return campaign.Frozen(dir, given)
}
