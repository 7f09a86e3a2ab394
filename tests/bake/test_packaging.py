from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.smpl_file import read_smpl_file
from hmrtk.toolkit.maps.atlas import read_uv_processed_mat

charts = pytest.importorskip("bake.reference_body.charts", reason="the bake scripts are not in this installation")
packaging = pytest.importorskip("bake.reference_body.packaging")


@pytest.fixture(scope="module")
def atlas(body: dict[str, np.ndarray]) -> Any:
    return charts.ChartAtlas(
        chart=body["part"].astype(np.int64),
        vertices=body["dp_vertices"].astype(np.int64),
        uv=body["dp_uv"].astype(np.float64),
        faces=body["dp_faces"].astype(np.int64),
    )


def test_packing_the_packaged_body_changes_nothing(body: dict[str, np.ndarray], baked: Any, atlas: Any) -> None:
    arrays = packaging.packaged_arrays(baked, body["posedirs"].astype(np.float64), atlas)
    assert arrays.keys() == body.keys()
    for key, values in arrays.items():
        assert values.dtype == body[key].dtype, key
        np.testing.assert_allclose(values.astype(float), body[key].astype(float), atol=1e-6, err_msg=key)


def test_difference() -> None:
    zero = np.zeros((2, 3), np.float16)
    assert packaging.difference(zero, zero.copy()) == "equal"
    assert packaging.difference(zero, zero[:1]) == "shape (2, 3) against (1, 3)"
    other = zero.copy()
    other[1, 2] = 0.5
    assert packaging.difference(zero, other) == "largest difference 0.5 in 1 of 6 values"


def test_difference_of_unsigned_numbers_does_not_wrap() -> None:
    small, large = np.array([1], np.uint16), np.array([3], np.uint16)
    assert packaging.difference(small, large).startswith("largest difference 2 ")


def test_compare_names_missing_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", one=np.ones(2), both=np.ones(2))
    np.savez(tmp_path / "b.npz", both=np.ones(2))
    packaging.compare(tmp_path / "a.npz", tmp_path / "b.npz")
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines == [["both", "equal"], ["one", "only in one of the two"]]


def test_official_layouts_are_read_by_the_package(
    tmp_path: Path, body: dict[str, np.ndarray], baked: Any, atlas: Any
) -> None:
    packaging.write_official_layouts(baked, body["posedirs"].astype(np.float64), atlas, tmp_path / "models")
    for suffix in ("pkl", "npz"):
        arrays = read_smpl_file(tmp_path / "models" / f"SMPL_MALE.{suffix}", "male")
        np.testing.assert_array_equal(arrays.v_template, body["v_template_male"])
        np.testing.assert_array_equal(arrays.faces, body["faces"])
    read = read_uv_processed_mat(tmp_path / "models" / "UV_Processed.mat")
    np.testing.assert_array_equal(read.chart, body["part"])
    np.testing.assert_array_equal(read.corner_vertices, body["dp_vertices"])
