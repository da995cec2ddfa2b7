"""Entry point of the worker: makes the descriptors safe, then serves.

With an argument it is a rank beside rank 0 (see llem_worker.ranks), which started it.
"""

import json
import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    from llem_protocol import process

    start = json.loads(sys.argv[1]) if len(sys.argv) > 1 else None
    if start:
        process.die_with(start["parent"])
        process.begin(start["commands"], start["replies"], start["gate"])
        from llem_worker.follow import follow

        follow(start)
    else:
        process.begin()
        from llem_protocol.serve import serve
        from llem_worker.serve import Worker

        serve(Worker)
