"""As much of numpy as the worker uses, without numbers: arrays know their shape, type and seed."""

from types import SimpleNamespace

# A name of a type that can be called with a number.
float32 = type("float32", (str,), {"__call__": lambda self, value: value})("float32")
SIZES = {"float32": 4, "float16": 2}


class ndarray:  # noqa: N801: numpy's name
    """An array without content."""

    def __init__(self, shape, dtype, seed=0):
        self.shape, self.dtype, self.seed = shape, dtype, seed

    def __mul__(self, other):
        return self

    def __getitem__(self, part):
        return self

    def astype(self, dtype):
        return ndarray(self.shape, dtype, self.seed)

    def reshape(self, shape):
        return ndarray(shape, self.dtype, self.seed)


def default_rng(seed):
    def standard_normal(count, dtype):
        return ndarray((count,), dtype, seed)

    return SimpleNamespace(standard_normal=standard_normal)


random = SimpleNamespace(default_rng=default_rng)


def prod(shape):
    out = 1
    for size in shape:
        out *= size
    return out


def resize(array, count):
    return ndarray((count,), array.dtype, array.seed)


def ones(count, dtype):
    return ndarray((count,), dtype)
