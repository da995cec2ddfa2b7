"""What this interpreter has, and the GPUs that CTranslate2 sees."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
import sys
import uuid

from llem_protocol.failures import Failure
from llem_protocol.process import driver_version

# From this version on end_token takes ids, possibly none.
MIN_VERSION = (4, 0)


@functools.cache
def describe() -> dict:
    """The reply to hello: version and device, or a Failure that names what is missing.

    CTranslate2 imports torch and transformers where they are, which the engine does not
    need: they would take seconds, and memory that would be counted as the engine's.
    """
    for name in ("torch", "transformers"):
        sys.modules.setdefault(name, None)
    try:
        import ctranslate2
    except ModuleNotFoundError as exc:
        # The next step is the launcher's.
        raise Failure("not_installed", f"{sys.executable} cannot import ctranslate2: {exc}") from exc
    except (ImportError, OSError) as exc:
        raise Failure("version_mismatch", f"{sys.executable} cannot load ctranslate2: {exc}",
                      "reinstall ctranslate2 in a fresh virtual environment") from exc
    version = ctranslate2.__version__
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        raise Failure("version_mismatch", f"ctranslate2 {version} is too old: "
                      f"{MIN_VERSION[0]}.{MIN_VERSION[1]} or newer is needed",
                      f"{sys.executable} -m pip install --upgrade ctranslate2")
    on_cuda = gpu_count() > 0
    info = {"version": version, "device": "cuda" if on_cuda else "cpu", "versions": library_versions(version)}
    if not on_cuda and os.path.exists("/dev/nvidia0"):
        info["notes"] = ["an NVIDIA GPU is present, but this CTranslate2 cannot use it: models run on the CPU"]
    return info


def library_versions(version: str) -> dict[str, str]:
    """Versions of the libraries that can change time and energy."""
    versions = {"ctranslate2": version, "python": platform.python_version(), "driver": driver_version()}
    for name in ("numpy", "tokenizers", "transformers", "torch"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return {name: value for name, value in versions.items() if value}


def gpu_count() -> int:
    """How many GPUs CTranslate2 can use."""
    import ctranslate2

    try:
        return ctranslate2.get_cuda_device_count()
    except RuntimeError:  # a build without CUDA, or no driver
        return 0


def gpu_uuid(index: int) -> str:
    """The name of a visible GPU in the driver's tools; "" if the driver does not report it."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ""
    device, value = ctypes.c_int(), (ctypes.c_char * 16)()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), index):
        return ""
    if getattr(cuda, "cuDeviceGetUuid_v2", cuda.cuDeviceGetUuid)(value, device):
        return ""
    return f"GPU-{uuid.UUID(bytes=bytes(value))}"
