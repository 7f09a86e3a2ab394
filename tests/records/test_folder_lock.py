"""A folder is one process's at a time, and free again when that process is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hmrtk.toolkit.errors import OutputError
from hmrtk.toolkit.records.folder_lock import held

HOLD = """
import sys, time
from pathlib import Path
from hmrtk.toolkit.records.folder_lock import held
with held(Path(sys.argv[1]), "at work"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(OutputError, match=r"run: another process is at work \(wait for it"),
            held(folder, "at work"),
        ):
            pass
        with held(folder, "at something else", ".other"):  # another file, another lock
            pass
        other.kill()
    with held(folder, "at work"):
        pass
    with held(folder, "at work"):  # and after it was let go
        pass


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file: cannot be written: "), held(tmp_path / "file", "at work"):
        pass
