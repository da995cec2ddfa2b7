"""The sizes in a model.bin: parameters, and the memory that weights take in a compute type."""

from __future__ import annotations

import math
import struct

FLOAT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8_float32": 4, "int8_float16": 2, "int8_bfloat16": 2}
# Numbers of the format's types: float32, int8, int16, int32, float16, bfloat16.
FLOATS = (0, 4, 5)


def variables(path: str):
    """The name, shape and type of every variable; aliases are not among them."""
    with open(path, "rb") as file:

        def read(form: str):
            return struct.unpack(form, file.read(struct.calcsize(form)))[0]

        def text() -> str:
            return file.read(read("H")).rstrip(b"\0").decode()

        read("I")  # version of the format
        text(), read("I")  # name and revision of the specification
        for _ in range(read("I")):
            name = text()
            shape = [read("I") for _ in range(read("B"))]
            kind, size = read("B"), read("I")
            file.seek(size, 1)
            yield name, shape, kind


def sizes(path: str, compute_type: str) -> tuple[int, int]:
    """Parameters, and bytes of weights as they are computed with."""
    parameters = total = 0
    number = FLOAT_BYTES.get(compute_type, 4)
    for name, shape, kind in variables(path):
        if kind not in FLOATS or not shape:
            continue
        count = math.prod(shape)
        parameters += count
        if compute_type.startswith("int8") and len(shape) == 2 and name.endswith("weight"):
            total += count + 4 * shape[0]  # a scale for each row
        else:
            total += count * number
    return parameters, total
