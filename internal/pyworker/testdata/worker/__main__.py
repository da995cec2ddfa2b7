"""A worker whose engine computes nothing, with the standard library alone."""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from llem_protocol import process

    process.begin()
    from llem_protocol.serve import serve
    from llem_fake.engine import Worker

    serve(Worker)
