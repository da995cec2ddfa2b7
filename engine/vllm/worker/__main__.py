"""vLLM in this process, step by step: the worker of vllm.mode offline.

Nothing but the standard library is imported before the descriptors are set up:
libraries print to standard output while they are imported.
"""

import os
import signal
import sys

COMMANDS_FD = 3
REPLIES_FD = 4


def prepare_process() -> None:
    """Keep the protocol's descriptors private and standard output harmless."""
    try:
        os.set_inheritable(COMMANDS_FD, False)
        os.set_inheritable(REPLIES_FD, False)
    except OSError:
        sys.exit("this program is a part of llem: it expects commands on descriptor 3")
    os.dup2(2, 1)
    # A terminal's Ctrl-C is the parent's to interpret.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    prepare_process()
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    from llem_vllm.serve import serve

    serve(COMMANDS_FD, REPLIES_FD)
