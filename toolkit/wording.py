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
