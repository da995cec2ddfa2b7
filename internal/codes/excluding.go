package codes

import "github.com/llenergymeasure/llem/note"

// Excluding returns the codes that exclude a run from the means, with a message and the next step for each.
func Excluding() note.List {
	return note.List{
		{Code: GPUForeignWork, Message: "other work ran on a GPU that is counted, so its energy is a total of " +
			"the board and not the run's",
			Next: "run the configuration again on GPUs that nobody else uses (nvidia-smi lists processes; " +
				"CUDA_VISIBLE_DEVICES selects); to get marked numbers anyway, add --allow-shared"},
		{Code: UnequalWork, Message: "the engine did not compute exactly the given and requested tokens",
			Next: "check for a prefix cache, prompts truncated to the model's context, or an output that ends " +
				"early; fix " +
				"it and rerun the configuration in a new study"},
		{Code: LoadStalled, Message: "the engine stopped working under the load",
			Next: "see engine.log of the run; try another version of the engine, or a lower load, in a new study"},
		{Code: MachineMixed, Message: "the worker's machine differs from the machine on which the study began",
			Next: "compare these runs by their rows (llem report DIR --json), or run a study on one kind of machine"},
		{Code: RequestsFailed, Message: "requests failed, and the total includes their energy",
			Next: "find the reasons in requests.parquet (failure) and engine.log of the run; fix them and rerun the " +
				"configuration in a new study"},
	}
}
