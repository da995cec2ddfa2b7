"""How exceptions of CTranslate2 and its converters become failures."""

from __future__ import annotations

import re

from llem_protocol import failures
from llem_protocol.failures import Failure, shorten

# Texts of exceptions, their class and the next step. The first match wins.
PATTERNS: list[tuple[str, str, str]] = [
    (r"cuda failed with error out of memory|cublas_status_alloc_failed|cuda out of memory",
     "oom_gpu", "use a smaller ctranslate2.batch_size, a shorter input or output, or compute_type int8"),
    (r"bad_alloc|cannot allocate memory|defaultcpuallocator",
     "oom_host", "use a smaller model, dtype or ctranslate2.batch_size"),
    (r"cuda driver version is insufficient|no kernel image is available",
     "version_mismatch", "update the NVIDIA driver, or install a version of ctranslate2 built for it"),
    (r"library libcublas|libcudnn|cannot open shared object file|cannot be loaded",
     "version_mismatch",
     "pip install nvidia-cublas-cu12 nvidia-cudnn-cu12, and put their folders into LD_LIBRARY_PATH"),
    (r"was not compiled with cuda|no cuda-capable device|invalid device ordinal",
     "no_device", "check nvidia-smi and CUDA_VISIBLE_DEVICES, or set ctranslate2.device: cpu"),
    (r"do not support efficient|requested \S+ compute type",
     "unsupported_dtype_quant", "choose another dtype or ctranslate2.compute_type"),
    (r"flash ?attention",
     "config", "leave out ctranslate2.flash_attention: this build of CTranslate2 does not have it"),
    (r"no conversion is registered|not yet implemented|is not supported by ctranslate2|notimplementederror",
     "unsupported_model", "choose a model that CTranslate2's converter knows, or another backend"),
    (r"does not appear to have a file named|no file named .* found",
     "model_not_found", "the folder holds no weights: download the model completely"),
    (r"unexpected end of file|model.bin is incomplete|deserializing header|incompletemetadata",
     "corrupt_model", "download the model again"),
]


def from_exception(exc: BaseException) -> Failure:
    """Turn any exception into a failure, keeping its type and text."""
    if isinstance(exc, Failure):
        return exc
    text = f"{type(exc).__name__}: {exc}".strip()
    for pattern, failure_class, hint in PATTERNS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return Failure(failure_class, shorten(text), hint)
    return failures.from_exception(exc)
