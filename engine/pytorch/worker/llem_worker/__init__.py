"""The PyTorch worker of llem: runs transformers models in a loop of its own.

The parent process speaks JSON lines to it (see serve). A run goes through

    batches.make_batches -> generate.run_batch -> run.run_workload -> replies

and every stamp is time.monotonic_ns(), the clock of the power samples.
"""
