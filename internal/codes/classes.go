package codes

import "github.com/llenergymeasure/llem/note"

// Failure classes.
const (
	ClassOOMGPU           note.Class = "oom_gpu"
	ClassOOMHost          note.Class = "oom_host"
	ClassKVTooSmall       note.Class = "kv_too_small"
	ClassModelNotFound    note.Class = "model_not_found"
	ClassGated            note.Class = "gated_auth"
	ClassOffline          note.Class = "offline"
	ClassDownloadFailed   note.Class = "download_failed"
	ClassUnsupportedModel note.Class = "unsupported_model"
	ClassUnsupportedDType note.Class = "unsupported_dtype_quant"
	ClassCorruptModel     note.Class = "corrupt_model"
	ClassVersion          note.Class = "version_mismatch"
	ClassNoDevice         note.Class = "no_device"
	ClassIllegal          note.Class = "illegal_instruction"
	ClassPortInUse        note.Class = "port_in_use"
	ClassNCCL             note.Class = "nccl"
	ClassGraphCompile     note.Class = "graph_compile"
	ClassStartTimeout     note.Class = "start_timeout"
	ClassNotInstalled     note.Class = "not_installed"
	ClassImage            note.Class = "image_not_found"
	ClassDiskFull         note.Class = "disk_full"
	ClassPermission       note.Class = "permission_denied"
	ClassWriteFailed      note.Class = "write_failed"
	ClassProtocol         note.Class = "protocol"
	ClassCrashed          note.Class = "crashed"
	ClassHung             note.Class = "hung"
	ClassEngine           note.Class = "engine_error"
	ClassClock            note.Class = "clock_mismatch"
	ClassConfig           note.Class = "config"
	ClassInterrupted      note.Class = "interrupted"
	ClassTimeout          note.Class = "timeout"
	ClassLeftOut          note.Class = "left_out"
)

// ClassEntry is a line of the table of classes.
type ClassEntry struct {
	// Class of the failures.
	Class note.Class
	// Consequence is the consequence for the run.
	Consequence Consequence
	// Meaning is one sentence.
	Meaning string
}

// Classes returns the table of failure classes.
func Classes() []ClassEntry {
	return []ClassEntry{
		{ClassOOMGPU, Failed, "The GPU ran out of memory."},
		{ClassOOMHost, Failed, "The host ran out of memory."},
		{ClassKVTooSmall, Failed, "The engine's KV cache has no room for the sequences."},
		{ClassModelNotFound, Failed, "The model exists neither locally nor on the hub."},
		{ClassGated, Failed, "The hub requires an accepted licence or a token (HF_TOKEN)."},
		{ClassOffline, Failed, "The model is not stored locally and the hub cannot be reached."},
		{ClassDownloadFailed, Failed, "The hub answered, but the download of the model failed."},
		{ClassUnsupportedModel, Failed, "The engine does not support the model's architecture or format."},
		{ClassUnsupportedDType, Failed, "The engine or the GPU does not support this data type or quantisation."},
		{ClassCorruptModel, Failed, "The files of the model are damaged or incomplete."},
		{ClassVersion, Failed, "The versions of the engine, its libraries and the driver are incompatible."},
		{ClassNoDevice, Failed, "The engine found no GPU that it can use."},
		{ClassIllegal, Failed, "The program uses instructions that the CPU lacks."},
		{ClassPortInUse, Failed, "The port of the server was already in use."},
		{ClassNCCL, Failed, "The GPUs could not communicate."},
		{ClassGraphCompile, Failed, "The engine could not compile the model or capture its CUDA graphs."},
		{ClassStartTimeout, Failed, "The engine was not ready in time."},
		{ClassNotInstalled, Failed, "The engine is not installed or was not found."},
		{ClassImage, Failed, "The container's image is not on this machine."},
		{ClassDiskFull, Failed, "The disk is full."},
		{ClassPermission, Failed, "There is no permission to read or write a file or folder."},
		{ClassWriteFailed, Failed, "A file could not be written."},
		{ClassProtocol, Failed, "The engine and llem could not communicate."},
		{ClassCrashed, Failed, "The engine's process ended unexpectedly."},
		{ClassHung, Failed, "The engine made no progress or did not answer, and was stopped."},
		{ClassEngine, Failed, "The engine reported an error."},
		{ClassClock, Failed, "The engine's clock differs from the clock of the sensors."},
		{ClassConfig, Failed, "The configuration asks for something impossible."},
		{ClassInterrupted, Unmade, "The user or the system ended the run."},
		{ClassTimeout, Failed,
			"The run took longer than --timeout allows, or a phase of it much longer than expected."},
		{ClassLeftOut, Unmade, "The run was skipped because others with its backend kept failing."},
	}
}
