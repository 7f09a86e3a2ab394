"""Variables of MATLAB files, 5 to 7.2, by SciPy; nothing in them is run.

In: a path; out: NumPy arrays, object arrays for cells, and structured ones for structs, as SciPy returns them. Called
by the readers of atlases (``maps``) and of datasets (``sources``) that come as ``.mat``.

SciPy's compiled reader trusts the sizes in a file: a single flipped byte can end the process. So it works in a process
of its own (``mat_worker``), one for all files that this process reads; when it dies, the file is called damaged.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.mat_worker import LENGTH

_WORKER = "hmrtk.toolkit.records.mat_worker"


def read_variables(path: Path, names: Sequence[str], remedy: str = "") -> dict[str, NDArray[Any]]:
    """Some variables of a MATLAB 5 file; the others are not read into memory.

    Args:
        path: of the file.
        names: the variables.
        remedy: said with every error: which file is expected.

    Raises:
        InputError: missing, truncated, or another kind of file; or without one of the variables.
    """
    if not Path(path).is_file():
        raise InputError(path, "no such file", remedy)
    with open_input(path):
        kind, content = _reader.ask(os.path.abspath(path), list(names))
    if kind == "newer":
        raise InputError(path, "is a MATLAB 7.3 file, expected one of MATLAB 5 to 7.2", remedy)
    if kind == "damaged":
        raise InputError(path, f"is not a readable MATLAB 5 file: {content}", remedy)
    missing = [name for name in names if name not in content]
    if missing:
        raise InputError(path, f"has no variable {', '.join(missing)}", remedy)
    return {name: content[name] for name in names}


class _Reader:
    """The worker, started when it is first needed and again after its death."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, path: str, names: list[str]) -> tuple[str, Any]:
        """The worker's answer about a file."""
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps({"path": path, "names": names}).encode() + b"\n")
                process.stdin.flush()
                head = process.stdout.read(LENGTH.size)
                data = process.stdout.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""
            except BrokenPipeError:
                data = b""
            if not data:
                self.end()
                return "damaged", "its sizes contradict each other"
            return pickle.loads(data)  # noqa: S301 - made by our own worker process

    def end(self) -> None:
        """Let the worker go."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid():  # a forked child has no worker of its own
            quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._process, self._owner = subprocess.Popen([sys.executable, "-m", _WORKER], **quiet), os.getpid()  # type: ignore[call-overload]
        return self._process


_reader = _Reader()
atexit.register(_reader.end)
