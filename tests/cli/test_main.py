"""The ``hmrtk`` command: help stays light, errors are one line, exit codes say what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hmrtk.cli.main import COMMANDS, _provide_kernel_cache

HEAVY = ("torch", "numba", "numpy", "pyarrow", "faiss", "matplotlib", "cv2", "scipy", "pandas")


def run(*arguments: str, cwd: object = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hmrtk.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)  # type: ignore[call-overload]


def imported_by(code: str) -> set[str]:
    """Which heavy libraries a fresh interpreter holds after running ``code``."""
    report = f"\nimport sys, json; print('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = "from hmrtk.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"


def test_help_imports_nothing_heavy() -> None:
    assert imported_by(HELP) == set()


def test_the_import_check_can_fail() -> None:
    assert imported_by("import hmrtk.toolkit.records.table") >= {"numpy", "pyarrow"}


def test_help_lists_every_command_with_its_line() -> None:
    text = " ".join(run("--help").stdout.split())
    for name, (_, line) in COMMANDS.items():
        assert name in text
        assert line in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_listed_module(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: hmrtk " + name in done.stdout


def test_version() -> None:
    assert run("--version").stdout.startswith("hmrtk, version 0.")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["build-prototypes", "--k", "0"], "Invalid value for '--k'"),
        (["build-prototypes", "--method", "kmeans"], "'kmeans' is not one of 'p3dh'"),
        (["tail-report", "--tail", "5,x"], "is not a list of numbers"),
        (["tail-report", "--tail", "0"], "above 0 and at most 100"),
        (["tail-report", "--predictions", "file.parquet"], "is not NAME=FILE"),
        (["evaluate"], "Missing option '--predictions'"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], text: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_failure_is_one_line_without_traceback_unless_verbose(tmp_path: object) -> None:
    arguments = ("build-prototypes", "--records", "missing.parquet")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "hmrtk: error: missing.parquet: no such file\n"
    verbose = run("-v", *arguments, cwd=tmp_path)
    assert verbose.returncode == 1
    assert "Traceback" in verbose.stderr
    assert verbose.stderr.endswith("hmrtk: error: missing.parquet: no such file\n")


def test_missing_dataset_says_what_where_and_how(tmp_path: object) -> None:
    done = run("tail-report", "--dataset", "h36m", cwd=tmp_path)
    assert done.returncode == 1
    for text in (
        "is not on this machine",
        "Expected layout",
        "How to get it",
        "hmrtk ingest --dataset h36m --root DIR",
    ):
        assert text in done.stderr
    assert "Then: hmrtk ingest --dataset bvh --root DIR" in run("tail-report", "--dataset", "bvh", cwd=tmp_path).stderr
    assert "Traceback" not in done.stderr


def test_unknown_dataset_lists_the_nearest_first(tmp_path: object) -> None:
    done = run("build-prototypes", "--dataset", "h36", cwd=tmp_path)
    assert done.returncode == 1
    assert "unknown dataset 'h36'; known: h36m," in done.stderr


def test_kernels_compile_where_nothing_of_the_user_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    _provide_kernel_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / f"hmrtk-kernels-{os.getuid()}")


def test_numbas_own_cache_is_left_alone_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    _provide_kernel_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ
