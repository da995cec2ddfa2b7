"""The CTranslate2 worker of llem.

    loading.load      a random model is built (shapes), a folder of Hugging Face converted (convert)
    run.run_workload  static batches, each one call of generate_batch, whose callback stamps the steps

Every stamp is time.monotonic_ns(), the clock of the power samples.
"""
