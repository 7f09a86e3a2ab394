"""Errors that a user can act on: one line that names the thing, what was expected, what was found, and the remedy.

The library raises them; only ``hmrtk.cli`` turns them into a message and an exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HmrtkError(Exception):
    """Base of every error hmrtk raises on purpose; ``str(error)`` is written for the user, in one line."""


class InputError(HmrtkError):
    """A file, row or value that was given to hmrtk cannot be used.

    Args:
        place: where it is, e.g. ``"h36m_train.npz row 812"``.
        problem: what was found and what was expected.
        remedy: what the user can do; left out when there is nothing sensible to say.
    """

    def __init__(self, place: object, problem: str, remedy: str = "") -> None:
        self.place, self.problem, self.remedy = str(place), problem, remedy
        super().__init__(f"{place}: {problem}" + (f" ({remedy})" if remedy else ""))


class OutputError(HmrtkError):
    """An artefact could not be written (full disk, no permission, locked by another process)."""


class MissingDatasetError(HmrtkError):
    """A dataset is not on this machine. The message has several lines: what is missing, its layout, how to get it."""


class BodyMismatchError(HmrtkError):
    """Two artefacts, or an artefact and the active body, were made with different bodies."""

    def __init__(self, place: object, expected: str, got: str) -> None:
        self.expected, self.got = expected, got
        super().__init__(
            f"{place}: was made with body {got}, but the active body is {expected} "
            f"(pass the same --body, or make the artefact again)"
        )


class UnknownNameError(HmrtkError):
    """A name that hmrtk does not know; the message lists the known ones, the nearest first."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name = kind, name
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=len(names) or 1, cutoff=0.0)
        ordered = near + [n for n in names if n not in near]
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(ordered) or 'none'}")
