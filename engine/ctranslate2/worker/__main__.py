"""CTranslate2 in this process, batch by batch.

With an argument it converts a model and ends (see llem_ctranslate2.convert).
"""

import json
import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    from llem_protocol import process

    if len(sys.argv) > 1:
        from llem_ctranslate2.convert import main

        sys.exit(main(json.loads(sys.argv[1])))
    process.begin()
    from llem_ctranslate2.serve import Worker
    from llem_protocol.serve import serve

    serve(Worker)
