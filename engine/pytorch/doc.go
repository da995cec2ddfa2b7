// Package pytorch runs models with PyTorch and the transformers library in a Python process, to show what the
// plain library costs.
//
// The process is the worker in the folder worker, embedded in the binary and unpacked to a private folder while it
// runs. It speaks the protocol of package backend and decodes in its own loop, not in the library's generate: a
// static batch is one prefill step and a decode step per further token, with three device synchronisations in
// total. By default the model runs as the library creates it: eager kernels and a growing cache. A static cache, a
// compiled decode step and quantised weights are optional; continuous batching is the library's own scheduler,
// driven step by step. Prompts of unequal length are padded on the left; padding never counts as tokens.
//
// [launcher.Start] chooses an interpreter, unpacks the worker and starts it. The study's pytorch section is
// [settings].
//
// The worker's tests need torch and transformers. They run with
//
//	python -m unittest discover -p '*_test.py'
//
// in this folder, and from go test with LLEM_TEST_PYTHON naming an interpreter.
package pytorch
