from __future__ import annotations

from hmrtk.toolkit.wording import counted


def test_one_is_singular_and_nothing_else() -> None:
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counted(n, "person", "people") for n in (1, 3)] == ["1 person", "3 people"]
