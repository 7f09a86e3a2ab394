"""Engines by name."""

from __future__ import annotations

import pytest

from hmrtk.toolkit.engine.choice import engine_by_name
from hmrtk.toolkit.engine.local import LocalEngine
from hmrtk.toolkit.errors import UnknownNameError


def test_engines_by_name() -> None:
    engine = engine_by_name("local", 3)
    assert isinstance(engine, LocalEngine)
    assert (engine.workers, engine.kind) == (3, "thread")
    engine.close()
    with pytest.raises(UnknownNameError, match="unknown engine 'spark'; known: "):
        engine_by_name("spark")
