"""Entry point of the worker: makes the descriptors safe, then serves.

With an argument it is a rank beside rank 0 (see llem_worker.ranks), which started it.

Nothing but the standard library is imported before the descriptors are set up:
libraries print to standard output while they are imported.
"""

import ctypes
import json
import os
import signal
import sys

COMMANDS_FD = 3
REPLIES_FD = 4
PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def prepare_process(*descriptors: int) -> None:
    """Keep the protocol's descriptors private and standard output harmless."""
    try:
        for fd in descriptors:
            os.set_inheritable(fd, False)
    except OSError:
        sys.exit("this program is a part of llem: it expects commands on descriptor 3")
    os.dup2(2, 1)
    # A terminal's Ctrl-C is the parent's to interpret.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    start = json.loads(sys.argv[1]) if len(sys.argv) > 1 else None
    if start:
        die_with(start["parent"])
        prepare_process(start["commands"], start["replies"], start["gate"])
    else:
        prepare_process(COMMANDS_FD, REPLIES_FD)
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    if start:
        from llem_worker.follow import follow

        follow(start)
    else:
        from llem_worker.serve import serve

        serve(COMMANDS_FD, REPLIES_FD)
