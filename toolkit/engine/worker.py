"""What every engine's workers share: how errors travel back from another process, and how much is kept in flight."""

from __future__ import annotations

import os
import pickle
import traceback
from typing import TypeVar

from hmrtk.toolkit.errors import HmrtkError

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT_PER_WORKER = 2
"""Results kept or being computed per worker: one worked on and one waiting for its turn bounds the memory."""

THREADS_VARIABLE = "HMRTK_THREADS"
"""Environment variable that says how many threads hmrtk itself may use; set in worker processes, which share cores."""
THREAD_VARIABLES = (THREADS_VARIABLE, "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that decide how many threads a worker process uses; read when the libraries load."""


class WorkerError(HmrtkError):
    """A worker process died or failed in a way that is not the input's fault; the message names the item."""


def processors() -> int:
    """How many processors this process may use: those it is bound to, or fewer where ``HMRTK_THREADS`` says so."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get(THREADS_VARIABLE, "")
    return min(bound, int(wanted)) if wanted.isdigit() and int(wanted) else bound


def packed_error(error: Exception) -> tuple[bytes | None, str, str]:
    """An exception for the way back: type, args and attributes apart, because ours are not made from their ``args``."""
    text = "".join(traceback.format_exception(error))
    try:
        return pickle.dumps((type(error), error.args, error.__dict__)), f"{type(error).__name__}: {error}", text
    except Exception:
        return None, f"{type(error).__name__}: {error}", text


def rebuilt_error(packed: tuple[bytes | None, str, str], name: str) -> BaseException:
    """What ``packed_error`` made, as the error it was or a ``WorkerError`` with its text; a note holds the trace."""
    blob, line, text = packed
    if blob is None:
        error: BaseException = WorkerError(f"{name}: {line}")
    else:
        kind, args, attributes = pickle.loads(blob)  # noqa: S301 - made by our own worker process
        error = kind.__new__(kind, *args)
        error.args = args
        error.__dict__.update(attributes)
    error.add_note(f"in a worker process, working on {name}:\n{text}")
    return error
