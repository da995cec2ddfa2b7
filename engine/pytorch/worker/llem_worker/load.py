"""A load with known edges, for the sensor self-test.

Matrix products of about a third of a millisecond keep the devices busy until the
host's clock passes the end of a pulse. Two are queued at most, so that a pulse
ends within a product of when it should, and its end is stamped after the devices
have finished. Pulses begin at fixed times after the first one, so that a pattern
does not drift however long it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from llem_protocol.failures import Cancelled, Failure
from llem_protocol.work import quiet_collector

from .loading import device_uuids

KERNEL_NS = 300_000
# Sizes of the square matrices: multiples of this, within these limits.
STEP, SMALLEST, LARGEST = 128, 128, 8192
# A wait sleeps in pieces of this length, to see a cancel, and spins at the end.
NAP_NS, SPIN_NS = 50_000_000, 1_000_000


def choose_devices(name: str) -> list[torch.device]:
    """All visible GPUs for "cuda", one device for "cuda:N" and "cpu"."""
    if name == "cpu":
        return [torch.device("cpu")]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wanted = range(count) if name == "cuda" else [int(name.removeprefix("cuda:"))] if name[5:].isdigit() else []
    devices = [torch.device("cuda", index) for index in wanted if index < count]
    if not devices:
        raise Failure("no_device", f"device {name}: PyTorch {torch.__version__} sees {count} GPUs",
                      "check nvidia-smi and CUDA_VISIBLE_DEVICES, and that PyTorch is built for CUDA")
    return devices


class Product:
    """One device and the matrix product that it repeats."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cuda = device.type == "cuda"
        self.dtype = self.suitable_dtype()
        self.done: list[torch.cuda.Event] = [torch.cuda.Event() for _ in range(2)] if self.cuda else []
        self.launched = 0
        self.allocate(2048 if self.cuda else 256)
        # From the time at one size to the size for the requested time: work grows with
        # the cube. Twice, because small products use a device badly.
        for _ in range(2):
            size = self.size * (KERNEL_NS / self.measure()) ** (1 / 3)
            self.allocate(min(max(round(size / STEP) * STEP, SMALLEST), LARGEST))
        self.kernel_ns = self.measure()

    def suitable_dtype(self) -> torch.dtype:
        """bfloat16 if the device computes in it."""
        if not self.cuda:
            return torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability(self.device)[0] >= 8 else torch.float16

    def allocate(self, size: int) -> None:
        """New matrices. Random ones: zeros would draw less power."""
        self.size = size
        self.a, self.b = (torch.randn((size, size), device=self.device).to(self.dtype) for _ in range(2))
        self.out = torch.empty_like(self.a)

    def measure(self, repeats: int = 10) -> float:
        """Nanoseconds of one product."""
        for _ in range(3):
            torch.mm(self.a, self.b, out=self.out)
        self.synchronize()
        begin = time.monotonic_ns()
        for _ in range(repeats):
            torch.mm(self.a, self.b, out=self.out)
        self.synchronize()
        return max((time.monotonic_ns() - begin) / repeats, 1.0)

    def launch(self) -> None:
        """Queue one product, and wait for the one before the one before."""
        torch.mm(self.a, self.b, out=self.out)
        if self.cuda:
            self.done[self.launched % 2].record(torch.cuda.current_stream(self.device))
            self.launched += 1
            if self.launched > 1:
                self.done[self.launched % 2].synchronize()

    def synchronize(self) -> None:
        """Wait until the device has done everything."""
        if self.cuda:
            torch.cuda.synchronize(self.device)


class Load:
    """The products of all devices, in pulses."""

    def __init__(self, device: str) -> None:
        self.requested = device
        with torch.inference_mode():
            self.products = [Product(d) for d in choose_devices(device)]
        self.kernel_ns = max(product.kernel_ns for product in self.products)

    def describe(self) -> dict:
        """The program and its device."""
        first = self.products[0]
        name = torch.cuda.get_device_name(first.device) if first.cuda else "CPU"
        dtype = str(first.dtype).removeprefix("torch.")
        return {
            "name": f"PyTorch {torch.__version__}, {dtype} products of {first.size}x{first.size} on {name}",
            "device_uuids": [uuid for product in self.products for uuid in device_uuids(product.device)],
            "kernel_ns": round(self.kernel_ns),
        }

    def pulse(self, pattern: list[dict], cancelled: Callable[[], bool]) -> list[dict]:
        """Run a pattern; one edge pair per pulse. A pulse without on-time is a pause."""
        edges = []
        with quiet_collector(), torch.inference_mode():
            self.synchronize()
            start_ns = time.monotonic_ns()
            for pulse in pattern:
                if pulse["on_ns"] > 0:
                    wait_until(start_ns, cancelled)
                    edges.append(self.burn(start_ns + pulse["on_ns"], cancelled))
                start_ns += pulse["on_ns"] + pulse["off_ns"]
            wait_until(start_ns, cancelled)
        return edges

    def burn(self, end_ns: int, cancelled: Callable[[], bool]) -> dict:
        """Keep the devices busy until end_ns."""
        # What is queued goes on for about a product and a half.
        last_ns = end_ns - round(1.5 * self.kernel_ns) if self.products[0].cuda else end_ns
        on_ns = time.monotonic_ns()
        while True:
            for product in self.products:
                product.launch()
            if time.monotonic_ns() >= last_ns:
                break
            if cancelled():
                raise Cancelled
        self.synchronize()
        return {"on_ns": on_ns, "off_ns": time.monotonic_ns()}

    def synchronize(self) -> None:
        """Wait until all devices are idle."""
        for product in self.products:
            product.synchronize()


def wait_until(at_ns: int, cancelled: Callable[[], bool]) -> None:
    """Sleep, then spin: a sleep alone is late by a good part of a millisecond."""
    while (left := at_ns - time.monotonic_ns()) > 0:
        if cancelled():
            raise Cancelled
        if left > SPIN_NS:
            time.sleep(min(left - SPIN_NS, NAP_NS) / 1e9)
