"""Load a GPU with bf16 matrix products: ON seconds busy, OFF seconds idle, for ever.

    python3 load.py 1 0          steady
    python3 load.py 0.030 0.030  30 ms on, 30 ms off
"""

import sys
import time

import torch


def main() -> None:
    on, off = float(sys.argv[1]), float(sys.argv[2])
    a = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    for _ in range(10):
        a @ a
    torch.cuda.synchronize()
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        end = due + on
        while time.monotonic() < end:
            for _ in range(4):
                a @ a
            torch.cuda.synchronize()
        due += on + off
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
