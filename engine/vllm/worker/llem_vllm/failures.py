"""Failures that a user can act on."""

from __future__ import annotations


class Failure(Exception):
    """An error with a class of the result format and a hint for the user."""

    def __init__(self, failure_class: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.failure_class, self.message, self.hint = failure_class, message, hint
