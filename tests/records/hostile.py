"""An object that would run a command when it is unpickled."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class Hostile:
    """Makes a file when it is unpickled by anything that runs pickles."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)
