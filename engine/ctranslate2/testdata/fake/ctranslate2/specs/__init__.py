"""Specifications that keep what is assigned, and write it in the real format."""

import json
import os
import struct
from types import SimpleNamespace

import numpy

TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")


def linear():
    return SimpleNamespace(weight=None)


class TransformerDecoderModelSpec:
    @classmethod
    def from_config(cls, num_layers, num_heads, **options):
        self = cls()
        self.options = {"num_heads": num_heads, **options}
        self.config = SimpleNamespace()
        norm = lambda: SimpleNamespace(gamma=None)  # noqa: E731
        self.decoder = SimpleNamespace(embeddings=linear(), layer_norm=norm(), projection=linear(), layer=[
            SimpleNamespace(self_attention=SimpleNamespace(layer_norm=norm(), linear=[linear(), linear()]),
                            ffn=SimpleNamespace(layer_norm=norm(), linear_0=linear(), linear_0_noact=linear(),
                                                linear_1=linear()))
            for _ in range(num_layers)])
        return self

    def register_vocabulary(self, tokens):
        self.tokens = tokens

    def validate(self):
        assert len(self.tokens) == self.decoder.embeddings.weight.shape[0]
        assert all(value is not None for _, value in variables(self.decoder, "decoder"))

    def save(self, folder):
        with open(os.path.join(folder, "vocabulary.json"), "w", encoding="utf-8") as file:
            json.dump(self.tokens, file)
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(vars(self.config), file)
        arrays = [
            (name, value) for name, value in variables(self.decoder, "decoder") if isinstance(value, numpy.ndarray)
        ]
        with open(os.path.join(folder, "model.bin"), "wb") as file:

            def text(value):
                file.write(struct.pack("H", len(value) + 1) + value.encode() + b"\0")

            file.write(struct.pack("I", 6))
            text("TransformerDecoderSpec")
            file.write(struct.pack("II", 8, len(arrays)))
            for name, value in arrays:
                text(name)
                size = numpy.prod(value.shape) * numpy.SIZES[value.dtype]
                file.write(struct.pack("B", len(value.shape)) + struct.pack("I" * len(value.shape), *value.shape))
                file.write(struct.pack("B", TYPES.index(value.dtype)) + struct.pack("I", size))
                file.write(struct.pack("I", value.seed & 0xFFFFFFFF))
                file.seek(size - 4, 1)
            file.write(struct.pack("I", 0))


def variables(layer, scope):
    """All that is assigned, with its name."""
    for name, value in vars(layer).items():
        if isinstance(value, list):
            for at, item in enumerate(value):
                yield from variables(item, f"{scope}/{name}_{at}")
        elif isinstance(value, SimpleNamespace):
            yield from variables(value, f"{scope}/{name}")
        else:
            yield f"{scope}/{name}", value


attention_spec = SimpleNamespace(RotaryScalingType=SimpleNamespace(Linear=0, Llama3=2))
common_spec = SimpleNamespace(Activation=SimpleNamespace(SWISH=4))
transformer_spec = SimpleNamespace(TransformerDecoderModelSpec=TransformerDecoderModelSpec)
