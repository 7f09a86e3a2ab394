from __future__ import annotations

from hmrtk.toolkit.wording import counted, sized


def test_one_is_singular_and_nothing_else() -> None:
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counted(n, "person", "people") for n in (1, 3)] == ["1 person", "3 people"]


def test_bytes_in_the_unit_that_fits() -> None:
    assert [sized(n) for n in (0, 1, 999, 1500, 252872794, 13510573713)] == [
        "0 bytes", "1 byte", "999 bytes", "1.5 kB", "253 MB", "13.5 GB",
    ]  # fmt: skip
