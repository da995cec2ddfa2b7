"""What Python workers of llem have in common: the protocol, failures, and a run's bookkeeping.

A worker is a folder with a __main__.py and a package of its own beside this one:

    process.begin()       the protocol's descriptors are private, standard output is harmless
    serve.serve(Worker)   commands are answered until stop

Worker is a subclass of serve.Worker. Only the standard library is imported here.
"""
