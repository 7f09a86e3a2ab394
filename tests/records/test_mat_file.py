"""MATLAB files: what SciPy wrote comes back, and no damage ends this process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.mat_file import read_variables


@pytest.fixture
def file(tmp_path: Path) -> Path:
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = np.arange(6.0).reshape(2, 3), "text"
    savemat(tmp_path / "a.mat", {"joints": np.arange(24.0).reshape(3, 8), "cells": cells, "s": {"x": 1}})
    return tmp_path / "a.mat"


def test_variables_come_back(file: Path) -> None:
    found = read_variables(file, ["joints", "cells", "s"])
    np.testing.assert_array_equal(found["joints"], np.arange(24.0).reshape(3, 8))
    np.testing.assert_array_equal(found["cells"][0, 0], np.arange(6.0).reshape(2, 3))
    assert found["cells"][0, 1].item() == "text"
    assert found["s"]["x"].item().item() == 1
    assert list(read_variables(file, ["joints"])) == ["joints"]


def test_relative_paths_and_several_threads(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read_variables(Path("a.mat"), ["joints"])["joints"].sum(), range(12)))
    assert found == [276.0] * 12


def test_no_flipped_byte_ends_the_process(file: Path, tmp_path: Path) -> None:
    data, broken = file.read_bytes(), tmp_path / "broken.mat"
    refused: list[str] = []
    tried = 0
    for place in range(128, len(data), 7):
        broken.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        tried += 1
        try:
            read_variables(broken, ["joints", "cells", "s"])
        except InputError as error:
            refused.append(str(error))
    assert 0 < len(refused) < tried
    assert all(text.startswith(f"{broken}: ") for text in refused)
    assert read_variables(file, ["joints"])["joints"].shape == (3, 8)  # and the next file is read


def test_what_cannot_be_read_is_one_line(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.mat: no such file \(get it\)"):
        read_variables(tmp_path / "b.mat", ["x"], "get it")
    with pytest.raises(InputError, match=r"a\.mat: has no variable depth, y"):
        read_variables(file, ["depth", "joints", "y"])
    (tmp_path / "c.mat").write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match=r"c\.mat: is not a readable MATLAB 5 file: "):
        read_variables(tmp_path / "c.mat", ["joints"])
    (tmp_path / "d.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(64))
    with pytest.raises(InputError, match=r"d\.mat: is a MATLAB 7\.3 file"):
        read_variables(tmp_path / "d.mat", ["joints"])
