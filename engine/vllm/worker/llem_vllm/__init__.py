"""vLLM's engine core in this process, with a log of its steps."""
