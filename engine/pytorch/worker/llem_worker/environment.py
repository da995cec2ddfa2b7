"""What this interpreter has: libraries, their versions and a device."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys

from llem_protocol.failures import Failure
from llem_protocol.process import driver_version

from .failures import from_exception

# From here on scaled_dot_product_attention defines rows that are masked
# completely, which left padding produces.
MIN_TORCH = (2, 5)
# From here on `dtype=` and `logits_to_keep=` have these names.
MIN_TRANSFORMERS = (4, 56)

UPGRADE = "{python} -m pip install --upgrade torch transformers"


def describe() -> dict:
    """The reply to hello: versions and device, or a Failure that names what is missing."""
    torch = import_torch()
    require("torch", torch.__version__, MIN_TORCH)
    transformers_version = installed_version("transformers")
    require("transformers", transformers_version, MIN_TRANSFORMERS)
    on_cuda = torch.cuda.is_available()
    info = {
        "version": torch.__version__,
        "device": "cuda" if on_cuda else "cpu",
        "versions": library_versions(torch, transformers_version, on_cuda),
    }
    if not on_cuda and os.path.exists("/dev/nvidia0"):
        info["notes"] = [
            "an NVIDIA GPU is present, but this PyTorch cannot use it: models run on the CPU"
        ]
    return info


def import_torch():
    """Import torch; the failure names the interpreter."""
    try:
        import torch
    except ModuleNotFoundError as exc:
        # The next step is the launcher's.
        raise Failure("not_installed", f"{sys.executable} cannot import torch: {exc}") from exc
    except (ImportError, OSError) as exc:
        failure = from_exception(exc)
        raise Failure("version_mismatch", f"{sys.executable} cannot load torch: {failure.message}",
                      "reinstall torch in a fresh virtual environment") from exc
    return torch


def installed_version(distribution: str) -> str:
    """The version of an installed distribution."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError as exc:
        raise Failure("not_installed", f"{sys.executable} has no module {distribution}") from exc


def require(distribution: str, version: str, minimum: tuple[int, int]) -> None:
    """Refuse a library that is too old."""
    if version_pair(version) < minimum:
        raise Failure(
            "version_mismatch",
            f"{distribution} {version} is too old: {minimum[0]}.{minimum[1]} or newer is needed",
            UPGRADE.format(python=sys.executable),
        )


def version_pair(version: str) -> tuple[int, int]:
    """Major and minor number of a version such as 2.11.0+cu130."""
    numbers = re.findall(r"\d+", version)
    return int(numbers[0]) if numbers else 0, int(numbers[1]) if len(numbers) > 1 else 0


def library_versions(torch, transformers_version: str, on_cuda: bool) -> dict[str, str]:
    """Versions of the libraries that can change time and energy."""
    versions = {
        "torch": torch.__version__,
        "transformers": transformers_version,
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "driver": driver_version(),
    }
    if on_cuda and torch.backends.cudnn.is_available():
        versions["cudnn"] = str(torch.backends.cudnn.version())
    for optional in ("tokenizers", "numpy", "accelerate", "flash-attn", "flash-attn-3", "torchao", "bitsandbytes"):
        try:
            versions[optional] = importlib.metadata.version(optional)
        except importlib.metadata.PackageNotFoundError:
            pass
    return {name: version for name, version in versions.items() if version}
