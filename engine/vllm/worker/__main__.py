"""vLLM in this process, step by step: the worker of vllm.mode offline."""

import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    from llem_protocol import process

    process.begin()
    from llem_protocol.serve import serve
    from llem_vllm.serve import Worker

    serve(Worker)
