"""One process at a time in a local folder: ``held``. The lock is the kernel's and goes with the process.

Called by whoever writes a folder over a long time: downloads, builders of shards, training.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hmrtk.toolkit.errors import OutputError

LOCK_NAME = ".lock"


@contextlib.contextmanager
def held(folder: Path, doing: str, name: str = LOCK_NAME) -> Iterator[None]:
    """Hold a folder, which is made where it is not there.

    Args:
        folder: local.
        doing: what another process is said to be doing, such as ``building these shards``.
        name: of the file that is locked; it stays.

    Raises:
        OutputError: another process holds it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{folder}: another process is {doing} (wait for it, or stop it)") from None
        except OSError as error:
            raise OutputError(f"{folder}: cannot be locked: {error.strerror}") from None
        yield
    finally:
        os.close(handle)
