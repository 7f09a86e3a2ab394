"""``datasets verify`` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_verify_exits_with_what_it_found(
    hmrtk: Callable[..., Any], failing: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "raw").mkdir()
    gone = hmrtk("datasets", "verify", "lsp", "--root", "raw", "--json")
    assert gone.code == 1
    assert not gone.json["ok"]
    assert any("joints.mat" in problem for problem in gone.json["problems"])
    assert "pass --root DIR" in failing("datasets", "verify", "lsp")
