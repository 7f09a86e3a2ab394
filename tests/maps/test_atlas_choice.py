"""Every way to name an atlas, and the official files: an SMPL ``.pkl`` with ``UV_Processed.mat`` beside it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.atlas import onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.atlas_choice import chosen_atlas, named_atlas
from hmrtk.toolkit.maps.atlas_file import write_atlas
from hmrtk.toolkit.maps.charts import CHART_NAMES
from hmrtk.toolkit.maps.iuv import render_iuv, render_iuv_bodies
from hmrtk.toolkit.maps.projection import project_vertices
from hmrtk.toolkit.maps.raster import rasterize

Draw = Callable[[int, int], BodyParameters]
MISSING = 2
"""DensePose's file has two faces fewer than SMPL."""


def uv_processed(missing: int) -> dict[str, NDArray[Any]]:
    """The variables of ``UV_Processed.mat``, shaped as there: columns, one row of vertex numbers, counting from 1."""
    atlas = reference_atlas()
    return {
        "All_FaceIndices": atlas.chart[missing:, None],
        "All_Faces": atlas.corner_faces[missing:].astype(np.uint16) + 1,
        "All_vertices": atlas.corner_vertices[None].astype(np.uint16) + 1,
        "All_U_norm": atlas.corner_uv[:, :1].astype(np.float64),
        "All_V_norm": atlas.corner_uv[:, 1:].astype(np.float64),
        "All_U": atlas.corner_uv[:, :1] * 255.0,
        "All_V": atlas.corner_uv[:, 1:] * 255.0,
    }


@pytest.fixture
def smpl(tmp_path: Path, body: BodyModel) -> BodyModel:
    """The reference body from an SMPL v1.1.0 ``.pkl``: the same numbers, its faces in another order than packaged."""
    content = {
        "v_template": body.v_template.astype(np.float64),
        "shapedirs": body.shapedirs.astype(np.float64),
        "posedirs": body.posedirs.astype(np.float64),
        "weights": body.weights.astype(np.float64),
        "J_regressor": body.joint_regressor.astype(np.float64),
        "f": body.faces[:, [1, 2, 0]].astype(np.uint32),
        "kintree_table": np.stack(
            [np.r_[2**32 - 1, body.parents[1:].astype(np.int64)].astype(np.uint32), np.arange(24, dtype=np.uint32)]
        ),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    return load_body(path)


def test_official_files_give_the_maps_of_the_packaged_path(
    smpl: BodyModel, body: BodyModel, tmp_path: Path, random_parameters: Draw
) -> None:
    assert not np.array_equal(smpl.faces, body.faces)
    parameters = random_parameters(12, 21)
    camera = np.column_stack([np.linspace(0.6, 1.1, 12), np.zeros(12), np.full(12, 0.2)])
    savemat(tmp_path / "UV_Processed.mat", uv_processed(0))
    for texture in ("vertex", "face"):
        packaged, official, given = (
            np.concatenate(
                [maps.copy() for _, maps in render_iuv_bodies(parameters, camera, model, atlas, 56, texture)]
            )
            for model, atlas in (
                (body, chosen_atlas("charts", body)),
                (smpl, chosen_atlas("charts", smpl)),
                (smpl, chosen_atlas(str(tmp_path / "UV_Processed.mat"), smpl)),
            )
        )
        np.testing.assert_array_equal(official, packaged)
        np.testing.assert_array_equal(given, packaged)
    assert (packaged[:, 0] > 0).mean() > 0.05


def test_the_two_missing_faces_are_the_only_difference(smpl: BodyModel, body: BodyModel, tmp_path: Path) -> None:
    variables = uv_processed(MISSING)
    assert variables["All_FaceIndices"].shape == (13774, 1)
    assert variables["All_Faces"].shape == (13774, 3)
    savemat(tmp_path / "UV_Processed.mat", variables)
    atlas = chosen_atlas("charts", smpl)
    assert atlas.name == "uv_processed"
    for turn in (1, -1):  # the missing faces are seen from one of the two sides
        vertices = body.v_template * np.array([turn, -1, -turn], np.float32)
        px = project_vertices(vertices[None], np.array([[0.9, 0.0, -0.28]]), 448)
        expected = render_iuv(px, reference_atlas(), 448)[0]
        gone = rasterize(px[0], body.faces, 448) < MISSING
        gone &= expected[0] > 0
        got = render_iuv(px, atlas, 448)[0]
        np.testing.assert_array_equal(got[:, ~gone], expected[:, ~gone])


def test_names(body: BodyModel) -> None:
    assert chosen_atlas("charts", body) is reference_atlas()
    assert chosen_atlas("onepiece", body) is onepiece_atlas()
    assert named_atlas("charts", body).charts == dict(enumerate(CHART_NAMES[1:], start=1))
    assert named_atlas("onepiece", body).charts == {1: "whole body"}


def test_files_of_every_kind(body: BodyModel, tmp_path: Path) -> None:
    write_atlas(tmp_path / "atlas.npz", reference_atlas(), {3: "a hand"}, body.faces, {})
    found = named_atlas(str(tmp_path / "atlas.npz"), body)
    assert found.atlas.fingerprint == reference_atlas().fingerprint
    assert found.charts == {3: "a hand"}
    own = onepiece_atlas()
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in body.v_template.tolist()]
    lines += [f"vt {u!r} {v!r}" for u, v in own.corner_uv.tolist()]
    pairs = np.stack([own.vertices_faces, own.corner_faces], axis=-1) + 1
    lines += ["f " + " ".join(f"{v}/{t}" for v, t in face) for face in pairs.tolist()]
    (tmp_path / "Layout.OBJ").write_text("\n".join(lines))
    atlas = chosen_atlas(str(tmp_path / "Layout.OBJ"), body)
    np.testing.assert_array_equal(atlas.face_uv, own.face_uv)
    assert atlas.symmetric


def test_unknown_names_list_the_known_ones(body: BodyModel, tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown atlas 'onepeace'; known: onepiece, FILE.npz, charts, FILE.obj, FILE.mat"
    ):
        chosen_atlas("onepeace", body)
    for name in ("none.npz", "none.obj", "none.mat"):
        with pytest.raises(InputError, match=f"{name}: no such file"):
            chosen_atlas(str(tmp_path / name), body)


def test_files_of_another_body(smpl: BodyModel, body: BodyModel, tmp_path: Path) -> None:
    write_atlas(tmp_path / "atlas.npz", reference_atlas(), {}, body.faces, {})
    with pytest.raises(InputError, match="is an atlas of a body with faces"):
        chosen_atlas(str(tmp_path / "atlas.npz"), smpl)
    with pytest.raises(InputError, match="has no one-piece atlas"):
        chosen_atlas("onepiece", smpl)
