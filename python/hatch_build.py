"""Marks the wheel with the platform of the program in it."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        platform = os.environ.get("LLEM_WHEEL_PLATFORM", "")
        if not platform:
            raise SystemExit("LLEM_WHEEL_PLATFORM is not set: build the wheel with `make wheel`")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
