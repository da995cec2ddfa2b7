"""Folders of Hugging Face, converted once into CTranslate2's format and kept.

The converter needs torch and transformers, so it runs in a process of its own: their
memory and threads are not the engine's. What it cannot convert it names. Its texts of
tokens are replaced with their ids (see shapes.names), because prompts are ids.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from llem_protocol import process
from llem_protocol.failures import Failure

MODEL = "model.bin"
RESULT = "failure.json"


def converted(path: str, model: str, dtype: str, cache: str, progress) -> str:
    """Return the folder of the converted model; create it if it does not exist."""
    import ctranslate2

    weights = weight_files(path)
    if not weights:
        raise Failure("model_not_found", f"model {model}: {path} holds no weights", "download the model completely")
    target = os.path.join(cache, key(path, weights, dtype, ctranslate2.__version__))
    if os.path.isfile(os.path.join(target, MODEL)):
        return target
    progress("converting weights", 0.1)
    os.makedirs(cache, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=".converting-", dir=cache)
    try:
        elsewhere({"path": path, "model": model, "dtype": dtype, "folder": folder, "parent": os.getpid()})
        try:
            os.rename(os.path.join(folder, "model"), target)
        except OSError:
            if not os.path.isfile(os.path.join(target, MODEL)):  # another process was faster
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def weight_files(path: str) -> list[str]:
    """The files of the weights, by name."""
    return sorted(name for name in os.listdir(path) if name.endswith((".safetensors", ".bin", ".pt")))


def key(path: str, weights: list[str], dtype: str, version: str) -> str:
    """A name that changes with whatever the converted model depends on."""
    facts = [version, dtype]
    for name in ["config.json", *weights]:
        file = os.path.realpath(os.path.join(path, name))  # downloads are links to files named by content
        stat = os.stat(file)
        facts += [name, file, stat.st_size, stat.st_mtime_ns]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def elsewhere(job: dict) -> None:
    """Convert in another process."""
    program = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    ended = subprocess.run([sys.executable, program, json.dumps(job)], stdin=subprocess.DEVNULL, check=False)
    result = os.path.join(job["folder"], RESULT)
    if os.path.isfile(result):
        with open(result, encoding="utf-8") as file:
            failure = json.load(file)
        raise Failure(failure["class"], failure["message"], failure["next"])
    if ended.returncode:
        raise Failure("oom_host" if ended.returncode == -9 else "engine_error",
                      f"model {job['model']}: its conversion ended with status {ended.returncode}",
                      "the engine log has what it printed; a conversion needs memory for all weights")


def main(job: dict) -> int:
    """The converting process: writes an error into the folder."""
    process.die_with(job["parent"])
    os.dup2(2, 1)
    from .failures import from_exception

    try:
        convert(job["path"], job["model"], job["dtype"], os.path.join(job["folder"], "model"))
    except Exception as exc:  # noqa: BLE001: the worker reports it
        with open(os.path.join(job["folder"], RESULT), "w", encoding="utf-8") as file:
            json.dump(from_exception(exc).as_reply(), file)
        return 1
    return 0


def convert(path: str, model: str, dtype: str, target: str) -> None:
    """Convert a folder."""
    import torch  # noqa: F401: the converter passes over its absence
    import transformers  # noqa: F401
    from ctranslate2.converters import TransformersConverter

    try:
        TransformersConverter(path, low_cpu_mem_usage=True).convert(target, quantization=dtype)
    except (NotImplementedError, ValueError) as exc:
        raise Failure("unsupported_model", f"model {model}: CTranslate2's converter refuses it: {exc}",
                      "choose another model or backend") from exc
    with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    rename(target, config)


def rename(target: str, config: dict) -> None:
    """Name the tokens by their ids."""
    from . import shapes

    with open(os.path.join(target, "vocabulary.json"), encoding="utf-8") as file:
        vocab = len(json.load(file))
    with open(os.path.join(target, "config.json"), encoding="utf-8") as file:
        own = json.load(file)
    own.update(shapes.special(config))
    for name, content in (("vocabulary.json", shapes.names(vocab)), ("config.json", own)):
        with open(os.path.join(target, name), "w", encoding="utf-8") as file:
            json.dump(content, file)
