"""One builder at a time: ``exclusive`` holds a folder of shards, on this machine or in an object store.

Used by the builder. On a file system the lock is the kernel's and goes with the process. An object store has no such
thing: there the lock is an object, ``.lock``, that says who made it and when. It is made only where there is none, and
removed at the end. One left by a killed process of this machine is replaced; one left by another machine has to
be removed by hand, because nobody can know from here whether that process still runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.folder_lock import LOCK_NAME, held
from hmrtk.toolkit.records.remote import Place, RemotePath


@contextlib.contextmanager
def exclusive(root: Place) -> Iterator[None]:
    """Hold the folder for one builder.

    Raises:
        OutputError: another process builds there, or the folder cannot be written.
    """
    if isinstance(root, RemotePath):
        with _lock_object(root):
            yield
        return
    with held(root, "building these shards"):
        yield


@contextlib.contextmanager
def _lock_object(root: RemotePath) -> Iterator[None]:
    place = root / LOCK_NAME
    mine = {"host": socket.gethostname(), "process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}
    try:
        _take(place, mine)
    except (InputError, OSError) as error:
        raise OutputError(f"{root}: cannot be written: {getattr(error, 'problem', error)}") from None
    try:
        yield
    finally:
        place.unlink(missing_ok=True)


def _take(place: RemotePath, mine: dict[str, Any]) -> None:
    data = json.dumps(mine).encode()
    with contextlib.suppress(FileExistsError):
        place.create(data)
        return
    owner = _owner(place)
    if owner.get("host") == mine["host"] and not _runs(owner.get("process")):
        place.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            place.create(data)
            return
        owner = _owner(place)
    who = f"process {owner.get('process', '?')} on {owner.get('host', '?')} since {owner.get('since', '?')}"
    raise OutputError(
        f"{place.parent}: another process is building these shards: {who} (wait for it; if it no longer runs, "
        f"remove {place})"
    )


def _owner(place: RemotePath) -> dict[str, Any]:
    """What the lock says; nothing when it has just gone, or is not ours to understand."""
    with contextlib.suppress(InputError, ValueError, AttributeError), open_input(place) as stream:
        return dict(json.loads(stream.read()).items())
    return {}


def _runs(process: Any) -> bool:
    if not isinstance(process, int) or process < 1:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
