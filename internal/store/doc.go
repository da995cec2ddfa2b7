// Package store is the writing half of results: the folder of a study while it is made.
// Package result has the types, and reads what is finished.
//
// [Create] makes a folder and [Reopen] opens that of a study that is resumed; either keeps
// other processes out until [Dir.Close]. A run collects its files in a folder of its own
// ([Dir.Begin]), which gets its name when it is complete ([Run.Commit]); then its line is
// appended to the journal. [Summarize] folds the journal into the result of the study, which
// [Dir.WriteSummary] writes.
package store
