"""CTranslate2 as the worker sees it, without arithmetic.

The order of passes, callbacks and results matches the real package; run_test.py holds
both to the same expectations.
"""

import json
import os
import random
import time
import zlib
from typing import NamedTuple

__version__ = "4.8.5"
PASS_S = 0.0005
SEED = [0]


def set_random_seed(seed):
    SEED[0] = seed


def get_cuda_device_count():
    return 0


def get_supported_compute_types(device):
    return {"float32", "int8", "int8_float32"}


class GenerationStepResult(NamedTuple):
    step: int
    batch_id: int
    token_id: int
    is_last: bool
    hypothesis_id: int = 0


class GenerationResult(NamedTuple):
    sequences_ids: list


class Generator:
    """A model whose tokens depend on its seed and the sequence alone."""

    def __init__(self, model_path, device="cpu", *, device_index=0, compute_type="default", inter_threads=1,
                 intra_threads=0, flash_attention=False):
        if compute_type not in get_supported_compute_types(device):
            raise ValueError(f"Requested {compute_type} compute type, but the target device or backend do not support "
                             f"efficient {compute_type} computation.")
        with open(os.path.join(model_path, "vocabulary.json"), encoding="utf-8") as file:
            self.vocab = {token: at for at, token in enumerate(json.load(file))}
        with open(os.path.join(model_path, "model.bin"), "rb") as file:
            self.seed = zlib.crc32(file.read(1 << 16))
        self.random = None  # made when the first token is drawn
        self.device, self.device_index, self.num_generators = device, [device_index], inter_threads
        self.compute_type = "int8_float32" if compute_type == "int8" else compute_type

    def generate_batch(self, start_tokens, *, max_length=512, end_token=None, include_prompt_in_result=True,
                       callback=None, sampling_temperature=1, sampling_topk=1, sampling_topp=1,
                       repetition_penalty=1):
        assert end_token == [] and not include_prompt_in_result
        prompts = [[self.vocab[token] for token in prompt] for prompt in start_tokens]
        shortest = min(map(len, prompts))
        if shortest > 1:
            time.sleep(PASS_S)
        known = [list(prompt) for prompt in prompts]
        prefix = [len(prompt) - shortest for prompt in prompts]
        results, alive, step = [[] for _ in prompts], sorted(range(len(prompts)), key=lambda row: len(prompts[row])), 0
        # A prompt of one token is not forwarded before, and then the others' tokens are results.
        returned = shortest == 1
        while alive:
            time.sleep(PASS_S)
            for row in list(alive):
                given = step < prefix[row]
                token = prompts[row][shortest + step] if given else self.next(known[row])
                if not given and sampling_topk != 1:  # drawn by the generator of the one thread
                    self.random = self.random or random.Random(SEED[0])
                    token = self.random.randrange(len(self.vocab))
                last = (step if returned else step - prefix[row]) + 1 == max_length
                if not given:
                    known[row].append(token)
                if not given or returned:
                    results[row].append(token)
                    if callback and callback(GenerationStepResult(step, row, token, last)):
                        last = True
                if last:
                    alive.remove(row)
            step += 1
        return [GenerationResult([tokens]) for tokens in results]

    def next(self, known):
        """The token behind a sequence."""
        return zlib.crc32(json.dumps([self.seed, known]).encode()) % len(self.vocab)
