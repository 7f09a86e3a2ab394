"""Run the command in this process, so that its heavy imports are paid once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hmrtk.cli.main import main


@dataclass
class Done:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Hmrtk = Callable[..., Done]


@pytest.fixture
def hmrtk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Hmrtk:
    """``hmrtk("build-prototypes", "--k", 5)`` in an empty folder with its own workspace ``ws``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HMRTK_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.delenv("HMRTK_BODY", raising=False)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Done(int(left.value.code or 0), out, err)

    return call


@pytest.fixture
def failing(hmrtk: Hmrtk) -> Callable[..., str]:
    """Like ``hmrtk``, for a command that has to fail: exit code 1, one line, no traceback. Returns the line."""

    def call(*arguments: object) -> str:
        done = hmrtk(*arguments)
        assert done.code == 1, done
        message = [line for line in done.err.splitlines() if line.startswith("hmrtk: error: ")]
        assert len(message) == 1, done.err
        assert done.err.rstrip().endswith(message[0])
        assert "Traceback" not in done.err
        assert "internal error" not in done.err
        return message[0].removeprefix("hmrtk: error: ")

    return call
