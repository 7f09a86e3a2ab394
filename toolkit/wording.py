"""Words that depend on a number. Called wherever messages count things."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 row``, ``2 rows``: a number and its noun.

    Args:
        count: how many.
        noun: for one.
        plural: for any other number; default: the noun and an s.
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def sized(count: int) -> str:
    """``12.1 GB``: a number of bytes for a person; decimal units, three digits or so."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.{0 if count >= 100 * scale else 1}f} {unit}"
    return counted(count, "byte")
