from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.reference import mirror_vertices
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import (
    Atlas,
    atlas_for_body,
    mirror_corners,
    mirror_faces,
    onepiece_atlas,
    read_uv_processed_mat,
    reference_atlas,
)
from hmrtk.toolkit.maps.charts import MIRROR_CHART

BOTH = pytest.mark.parametrize("atlas", [reference_atlas(), onepiece_atlas()], ids=lambda a: a.name)


def official_layout() -> dict[str, NDArray[Any]]:
    """Variables as in DensePose's file: 1-based, uint8 charts, two faces of the body missing, columns of doubles."""
    atlas = reference_atlas()
    return {
        "All_FaceIndices": atlas.chart[2:, None],
        "All_Faces": atlas.corner_faces[2:].astype(np.uint16) + 1,
        "All_vertices": atlas.corner_vertices[None].astype(np.uint16) + 1,
        "All_U_norm": atlas.corner_uv[:, :1].astype(np.float64),
        "All_V_norm": atlas.corner_uv[:, 1:].astype(np.float64),
        "All_U": atlas.corner_uv[:, :1] * 255.0,
    }


@BOTH
def test_packaged_atlases_cover_the_body_and_are_symmetric(atlas: Atlas, body: BodyModel) -> None:
    np.testing.assert_array_equal(atlas.vertices_faces, body.faces)
    mirror = mirror_vertices()
    partner = mirror_corners(atlas.corner_vertices, atlas.corner_faces, mirror)
    np.testing.assert_array_equal(partner[partner], np.arange(len(partner)))
    np.testing.assert_array_equal(atlas.corner_uv[partner, 0], 1 - atlas.corner_uv[:, 0])
    np.testing.assert_array_equal(atlas.corner_uv[partner, 1], atlas.corner_uv[:, 1])
    faces = mirror_faces(body.faces, mirror)
    if atlas.name == "reference":
        np.testing.assert_array_equal(atlas.chart[faces], MIRROR_CHART[atlas.chart])
        assert set(atlas.chart) == set(range(1, 25))
    else:
        assert set(atlas.chart) == {1}


@BOTH
def test_no_face_is_folded_over(atlas: Atlas) -> None:
    a, b, c = (atlas.corner_uv[atlas.corner_faces[:, k]].astype(np.float64) for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    turned = area * np.sign(np.median(area)) < -1e-9
    assert turned.sum() == 0


def test_fingerprint_follows_the_content() -> None:
    atlas = reference_atlas()
    assert len(atlas.fingerprint) == 16
    moved = replace(atlas, corner_uv=atlas.corner_uv * np.float32(0.5))
    assert moved.fingerprint != atlas.fingerprint
    assert replace(atlas, corner_uv=atlas.corner_uv.copy()).fingerprint == atlas.fingerprint


def test_official_mat_file_round_trip(tmp_path: Path, body: BodyModel) -> None:
    savemat(tmp_path / "UV_Processed.mat", official_layout())
    atlas = read_uv_processed_mat(tmp_path / "UV_Processed.mat", body.faces)
    own = reference_atlas()
    assert len(atlas.chart) == 13774
    np.testing.assert_array_equal(atlas.face_index, np.arange(2, 13776))
    np.testing.assert_array_equal(atlas.vertices_faces, body.faces[2:])
    np.testing.assert_array_equal(atlas.chart, own.chart[2:])
    np.testing.assert_array_equal(atlas.corner_uv, own.corner_uv)
    assert not atlas.symmetric
    alone = read_uv_processed_mat(tmp_path / "UV_Processed.mat")
    assert (alone.face_index == -1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"All_U_norm": None}, "has no variable All_U_norm"),
        ({"All_V_norm": np.zeros((5, 1))}, "All_V_norm: expected 7907 values, got 5"),
        ({"All_U_norm": np.full((7907, 1), 1.5)}, r"corner_uv\[0, 0\] is 1.5, expected 0.0 to 1.0"),
        ({"All_U_norm": np.full((7907, 1), np.nan)}, r"corner_uv\[0, 0\] is nan"),
        ({"All_FaceIndices": np.full((13774, 1), 25, np.uint8)}, r"chart\[0\] is 25, expected 1 to 24"),
        ({"All_FaceIndices": np.arange(13774)[:, None] % 24 + 1}, r"is used by charts \d+ and \d+, expected one chart"),
        ({"All_Faces": np.full((13774, 3), 7908)}, r"corner_faces\[0, 0\] is 7907, expected 0 to 7906"),
        ({"All_Faces": np.zeros((13774, 3))}, r"corner_faces\[0, 0\] is -1"),
        ({"All_vertices": np.full((1, 7907), 6891)}, r"corner_vertices\[0\] is 6890, expected 0 to 6889"),
        ({"All_vertices": np.arange(7907)[None] % 6890 + 1}, "of 13774 faces are not faces of the body"),
        (
            {"All_Faces": np.zeros((0, 3)), "All_FaceIndices": np.zeros((0, 1))},
            "the atlas has no faces",
        ),
    ],
)
def test_official_mat_file_refusals(
    tmp_path: Path, body: BodyModel, change: dict[str, NDArray[Any] | None], message: str
) -> None:
    variables = {k: v for k, v in (official_layout() | change).items() if v is not None}
    savemat(tmp_path / "UV_Processed.mat", variables)
    with pytest.raises(InputError, match=message) as error:
        read_uv_processed_mat(tmp_path / "UV_Processed.mat", body.faces)
    assert "UV_Processed.mat" in str(error.value)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "UV_Processed.mat"
    with pytest.raises(InputError, match="no such file"):
        read_uv_processed_mat(path)
    path.write_bytes(b"not a matrix")
    with pytest.raises(InputError, match="is not a readable MATLAB 5 file"):
        read_uv_processed_mat(path)
    savemat(path, official_layout(), do_compression=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"UV_Processed\.mat"):
        read_uv_processed_mat(path)


def test_atlas_for_body(tmp_path: Path, body: BodyModel) -> None:
    assert atlas_for_body(body) is reference_atlas()
    other: Any = SimpleNamespace(faces=body.faces[::-1], place=tmp_path / "body.npz", gender="neutral")
    with pytest.raises(InputError, match=r"has no 24-chart atlas .*put DensePose's UV_Processed.mat at"):
        atlas_for_body(other)
    savemat(tmp_path / "UV_Processed.mat", official_layout())
    found = atlas_for_body(other)
    np.testing.assert_array_equal(found.face_index, 13775 - np.arange(2, 13776))


def test_a_mirror_that_does_not_fit_the_faces_is_refused(body: BodyModel) -> None:
    with pytest.raises(InputError, match="are not faces of the body"):
        mirror_faces(body.faces, np.roll(mirror_vertices(), 1))


def test_shapes_are_checked() -> None:
    with pytest.raises(InputError, match=r"made up: chart: expected shape \(13776,\), got \(3,\)"):
        replace(reference_atlas(), chart=np.ones(3, np.uint8)).check("made up")
