"""How many processors workers take."""

from __future__ import annotations

import os

import pytest

from hmrtk.toolkit.engine.worker import processors


@pytest.mark.parametrize(("said", "expected"), [("1", 1), ("0", None), ("", None), ("many", None), ("100000", None)])
def test_threads_can_be_limited_but_not_raised(
    monkeypatch: pytest.MonkeyPatch, said: str, expected: int | None
) -> None:
    monkeypatch.delenv("HMRTK_THREADS", raising=False)
    bound = processors()
    assert 1 <= bound <= (os.cpu_count() or 1)
    monkeypatch.setenv("HMRTK_THREADS", said)
    assert processors() == (expected or bound)
