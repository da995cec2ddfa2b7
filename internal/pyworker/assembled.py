"""A worker for tests as llem unpacks it: its own folder with llem_protocol beside its package."""

import atexit
import os
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def assembled(worker: str | pathlib.Path) -> str:
    """A folder that holds the worker and the protocol, which is importable from here on."""
    folder = tempfile.mkdtemp(prefix="llem-worker-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for part in (*pathlib.Path(worker).resolve().iterdir(), HERE / "llem_protocol"):
        os.symlink(part, os.path.join(folder, part.name))
    sys.path.insert(0, folder)
    return folder
