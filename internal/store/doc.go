// Package store writes results: the folder of a study while it is running. Package result has the types, and
// reads finished studies.
//
// [Create] creates a folder and [Reopen] opens the folder of a study that is resumed; either locks out other
// processes until [Dir.Close]. A run collects its files in its own folder ([Dir.Begin]), which gets its final
// name when it is complete ([Run.Commit]); then its line is appended to the journal. [Summarize] computes the
// result of the study from the journal, and [Dir.WriteSummary] writes it.
package store
