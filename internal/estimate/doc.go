// Package estimate predicts the needs of a configuration before it runs: memory, seconds and joules. It serves the
// planning of a study and the question whether a model fits.
//
// Data flows one way, and all functions are pure:
//
//	Setup (model, backend, format, device, work)
//	  ├─▶ Memory    what the engine will hold at its peak, part by part
//	  ├─▶ Fits      yes or no against free memory, in words, with the largest batch
//	  └─▶ Roofline  seconds and joules of prefill and decode, and of what surrounds them
//	        └─▶ Estimate  the same, corrected by earlier runs if there are any
//
// Nothing here is a measurement. Each result carries its basis ("roofline", "roofline corrected by N runs",
// "history") and an interval that is deliberately rough: it contains about nine of ten runs on the machines that
// the constants were fitted on.
//
// # Memory
//
// For PyTorch the peak is torch.cuda.max_memory_allocated, which the worker reports as memory.peak_bytes: what
// tensors hold, without the CUDA context and without what the caching allocator keeps for later. Both are included
// in [Memory.Device], which is what nvidia-smi would show. For the embedded engine the peak is the resident set of
// its process (VmHWM).
//
// # Time
//
// A step takes as long as the slowest of three: moving its bytes, computing its operations, and launching its
// kernels. The constants of each backend are in profile.go with their origin, the devices in catalogue.go with
// their data sheets.
package estimate
