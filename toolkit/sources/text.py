"""Reading text files word by word, with the line in every error. Used by the readers of mocap text formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input


def text_lines(path: Path) -> list[str]:
    """All lines of a text file; bytes that are not UTF-8 are replaced.

    Raises:
        InputError: the file is missing, empty or not text.
    """
    with open_input(path) as stream:
        data = stream.read()
    if not data.strip():
        raise InputError(path, "is empty")
    if b"\0" in data:
        raise InputError(path, "is not a text file")
    return data.decode("utf-8-sig", errors="replace").splitlines()


def finite_numbers(words: Sequence[str], count: int, place: str) -> NDArray[np.float64]:
    """(count,) numbers.

    Raises:
        InputError: another count, a word that is no number, NaN or infinite.
    """
    if len(words) != count:
        raise InputError(place, f"has {len(words)} numbers, expected {count}")
    try:
        values = np.array(words, float)
    except ValueError:
        bad = next(word for word in words if not _is_number(word))
        raise InputError(place, f"found {bad!r}, expected a number") from None
    if not np.isfinite(values).all():
        raise InputError(place, f"has a value that is {words[int((~np.isfinite(values)).argmax())]}")
    return values


class Words:
    """The words of a text, one after the other.

    Attributes:
        line: 1-based line of the word that ``next`` gave last.
        here: ``<file> line <n>``, for error messages.
    """

    def __init__(self, path: Path, words: list[tuple[str, int]]) -> None:
        self._path, self._words, self._at = path, words, 0
        self.line = 1

    @property
    def here(self) -> str:
        return f"{self._path} line {self.line}"

    def next(self) -> str:
        """The next word.

        Raises:
            InputError: the text has ended.
        """
        if self._at == len(self._words):
            raise InputError(self.here, "ends in the middle", "the file may be truncated")
        word, self.line = self._words[self._at]
        self._at += 1
        return word

    def expect(self, wanted: str) -> None:
        """Take one word that must be ``wanted``, in any case."""
        word = self.next()
        if word.lower() != wanted.lower():
            raise InputError(self.here, f"found {word!r}, expected {wanted}")

    def number(self) -> float:
        """Take one finite number."""
        return float(finite_numbers([self.next()], 1, self.here)[0])

    def name_until(self, mark: str) -> str:
        """Take all words up to and including ``mark`` and return those before it, joined by blanks."""
        words = []
        while (word := self.next()) != mark:
            words.append(word)
        return " ".join(words)


def read_words(path: Path, lines: Sequence[str]) -> Words:
    """Split lines into words."""
    return Words(path, [(word, number) for number, line in enumerate(lines, 1) for word in line.split()])


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
