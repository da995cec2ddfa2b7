#!/usr/bin/env python3
"""Links a program with zig's linker, although functions of NVML are missing.

NVML is part of the NVIDIA driver and is opened while the program runs; until then its functions are unknown, which
`--unresolved-symbols` allows. `zig c++` refuses that argument, and its linker takes it: so zig is asked how it would
call the linker, and that command is run with the argument. The functions must be bound when they are called
(`-z lazy`), which zig does not do by default. Symbols and debug information are left out, as `go build -ldflags=-s`
asks, which zig does not pass on.
"""

import os
import shlex
import subprocess
import sys


def main() -> int:
    zig, target = os.environ["LLEM_ZIG"].split(), os.environ["LLEM_ZIG_TARGET"].split()
    arguments = [a for a in sys.argv[1:] if "--unresolved-symbols" not in a]
    # Without --unresolved-symbols it fails, after it has printed the linker's command.
    tried = subprocess.run([*zig, "c++", *target, *arguments], env=dict(os.environ, ZIG_VERBOSE_LINK="1"),
                           capture_output=True, text=True)
    if tried.returncode == 0:
        return 0
    command = next((line for line in tried.stderr.splitlines() if line.startswith("ld.lld --")), None)
    if command is None:
        sys.stderr.write(tried.stderr)
        return 1
    words = [w for w in shlex.split(command)[1:] if w != "-znow"]
    allowed = ["-z", "lazy", "--unresolved-symbols=ignore-in-object-files", "--strip-all"]
    return subprocess.run([*zig, "ld.lld", *words, *allowed]).returncode


if __name__ == "__main__":
    sys.exit(main())
