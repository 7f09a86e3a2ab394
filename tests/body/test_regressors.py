"""Which regressors a body gets: the reference ones for the reference topology, else files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.arrays import check_arrays
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.reference import reference_regressor
from hmrtk.toolkit.body.regressors import regressor_for
from hmrtk.toolkit.errors import InputError, UnknownNameError


@pytest.fixture
def foreign_body(foreign: dict[str, Any], tmp_path: Path) -> BodyModel:
    return BodyModel(check_arrays(foreign, "neutral", str(tmp_path / "SMPL_NEUTRAL.pkl")))


def test_same_faces_take_the_reference_regressors(foreign: dict[str, Any], tmp_path: Path) -> None:
    given = {**foreign, "f": load_body().faces}
    body = BodyModel(check_arrays(given, "neutral", str(tmp_path / "SMPL_NEUTRAL.pkl")))
    assert body.regressor("h36m17") is reference_regressor("h36m17")
    assert body.regressor("extra9") is reference_regressor("extra9")


def test_spin_files_beside_the_body(foreign_body: BodyModel, tmp_path: Path) -> None:
    extra, h36m = reference_regressor("extra9").toarray()[::-1], reference_regressor("h36m17").toarray()[::-1]
    np.save(tmp_path / "J_regressor_extra.npy", extra.astype(np.float64))
    np.save(tmp_path / "J_regressor_h36m.npy", h36m.astype(np.float64))
    assert np.array_equal(foreign_body.regressor("extra9").toarray(), extra)
    assert np.array_equal(foreign_body.regressor("h36m17").toarray(), h36m)
    assert foreign_body.spin24(foreign_body.pose(BodyParameters.zeros(2))).shape == (2, 24, 3)


def test_graphcmr_file_with_14_rows(foreign_body: BodyModel, tmp_path: Path) -> None:
    faces = np.zeros((5, 6890))
    faces[range(5), [332, 6260, 2800, 4071, 583]] = 1
    extra = reference_regressor("extra9").toarray()
    np.save(tmp_path / "J_regressor_extra.npy", np.concatenate([faces, extra]))
    assert np.array_equal(foreign_body.regressor("extra9").toarray(), extra)


@pytest.mark.parametrize(("name", "file"), [("extra9", "J_regressor_extra.npy"), ("h36m17", "J_regressor_h36m.npy")])
def test_missing_file_says_which_and_where(foreign_body: BodyModel, tmp_path: Path, name: str, file: str) -> None:
    with pytest.raises(InputError, match=rf"{file} is not beside it \(put SPIN's file at {tmp_path / file}\)"):
        foreign_body.regressor(name)


def test_damaged_files(foreign_body: BodyModel, tmp_path: Path) -> None:
    path = tmp_path / "J_regressor_h36m.npy"
    bad: list[tuple[Any, str]] = [
        (np.zeros((16, 6890)), r"has shape \(16, 6890\), expected \(17, 6890\)"),
        (np.full((17, 6890), np.nan), "J_regressor_h36m.npy has NaN"),
        (np.full((17, 6890), "a"), "is not a .npy array of numbers"),
    ]
    for value, message in bad:
        np.save(path, value)
        with pytest.raises(InputError, match=message):
            foreign_body.regressor("h36m17")
    np.save(path, np.array([None]))
    with pytest.raises(InputError, match=r"is not a readable .npy file"):
        foreign_body.regressor("h36m17")
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"is not a readable .npy file"):
        foreign_body.regressor("h36m17")


def test_unknown_name(body: BodyModel) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown regressor 'lsp14'; known: "):
        regressor_for("lsp14", body.faces, body.place)
