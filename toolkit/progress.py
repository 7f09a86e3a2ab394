"""How long-running library code tells its caller where it is. The library never prints; ``cli`` draws the bar."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work advances. ``done`` of ``total`` items of ``stage`` are finished; ``note`` is a short remark."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """A ``Progress`` that says nothing: the default everywhere."""
