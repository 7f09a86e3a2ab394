"""``atlas build``, ``check`` and ``show`` as a user calls them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.maps.atlas import onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.atlas_file import read_atlas
from hmrtk.toolkit.maps.charts import CHART_NAMES

from .conftest import Hmrtk

Failing = Callable[..., str]


def exported(path: Path, chart: str = "", scale: float = 1.0, drop: int = 0) -> Path:
    """The packaged 24-chart layout (``chart``: the statement that names charts) or the one-piece one, as OBJ."""
    body, atlas = load_body(), reference_atlas() if chart else onepiece_atlas()
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in (scale * body.v_template.astype(float)).tolist()]
    lines += [f"vt {u!r} {v!r}" for u, v in atlas.corner_uv.tolist()]
    pairs = np.stack([atlas.vertices_faces, atlas.corner_faces], axis=-1) + 1
    for number, face in zip(atlas.chart[drop:].tolist(), pairs[drop:].tolist(), strict=True):
        lines += [f"{chart} {CHART_NAMES[number]}"] if chart else []
        lines.append("f " + " ".join(f"{v}/{t}" for v, t in face))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_build_check_and_show(hmrtk: Hmrtk, tmp_path: Path) -> None:
    done = hmrtk("atlas", "build", exported(tmp_path / "suit.obj", "g"), "--charts", "groups")
    assert done.code == 0, done.err
    assert "13776 faces in 13776 polygons, 7907 corners, 24 charts" in done.out
    assert "the body's vertices were found by their numbers (6890 in the file)" in done.out
    assert "  chart  3  right hand" in done.out
    written = tmp_path / "ws/atlases/suit.npz"
    assert done.out.endswith(f"{written}\n")
    found = read_atlas(written)
    np.testing.assert_array_equal(found.atlas.face_uv, reference_atlas().face_uv)
    assert found.metadata["provenance"]["command"] == "atlas build"
    assert len(found.metadata["provenance"]["inputs"]["obj"]) == 64
    checked = hmrtk("atlas", "check", written)
    assert checked.code == 0
    assert checked.out.splitlines()[0] == "atlas suit at 128 texels a side"
    assert checked.out.splitlines()[-1] == "can be used"
    shown = hmrtk("atlas", "show", written, "--out", tmp_path / "suit.png")
    assert shown.out == f"look at {tmp_path / 'suit.png'}\n"
    assert Image.open(tmp_path / "suit.png").size[0] == 1960


def test_build_says_what_it_found(hmrtk: Hmrtk, tmp_path: Path) -> None:
    file = exported(tmp_path / "suit.obj", scale=100, drop=3)
    text = file.read_text().splitlines()
    vertices = text[:6890]
    turned = vertices[::-1] + [
        " ".join([word, *(f"{6891 - int(c.split('/')[0])}/{c.split('/')[1]}" for c in rest)]) if word == "f" else line
        for line in text[6890:]
        for word, *rest in [line.split()]
    ]
    file.write_text("\n".join(turned))
    done = hmrtk("atlas", "build", file, "--out", tmp_path / "a.npz", "--name", "mine", "--flip-v")
    assert "the body's vertices were found by their positions (6890 in the file, 1 unit = 0.01 m)" in done.out
    assert "3 faces of the body have no UV (faces 0, 1, 2, …)" in done.out
    done = hmrtk("atlas", "build", file, "--out", tmp_path / "a.npz", "--name", "mine", "--flip-v", "--json")
    assert done.json["name"] == "mine"
    assert done.json["facts"]["faces_missing"] == 3
    assert done.json["facts"]["symmetric"] is True
    assert done.json["problems"] == []


def test_check_without_argument_and_as_json(hmrtk: Hmrtk) -> None:
    done = hmrtk("atlas", "check")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "atlas reference at 128 texels a side"
    assert len(lines) == 2 + 24 + 1 + 2 + 1
    assert lines[4].split()[:4] == ["3", "right", "hand", "1358"]
    assert "7907 corners, 24 pieces, 995 seam edges of 16.94 m, 0 faces of the body missing" in done.out
    value = hmrtk("atlas", "check", "onepiece", "--size", 64, "--json").json
    assert value["ok"] is True
    assert value["charts"][0]["name"] == "whole body"
    assert 3 < value["read_back_mm"]["mean"] < 4
    assert value["symmetry"] == {"deviation": 0.0, "compared": 1.0, "other_charts": 0, "lonely_seams": 0}


def test_an_atlas_that_cannot_be_used_exits_1(hmrtk: Hmrtk, tmp_path: Path) -> None:
    file = exported(tmp_path / "heap.obj", "g")
    done = hmrtk("atlas", "build", file)  # all 24 charts on top of each other
    assert done.code == 0
    assert "cannot be used as it is: chart 1 (whole body): " in done.out
    checked = hmrtk("atlas", "check", "ws/atlases/heap.npz")
    assert checked.code == 1
    assert "of its texels lie in several faces, at most 5% may" in checked.out
    assert "can be used" not in checked.out.splitlines()
    assert hmrtk("atlas", "check", "ws/atlases/heap.npz", "--json").json["ok"] is False


def test_show_writes_into_the_workspace(hmrtk: Hmrtk, tmp_path: Path) -> None:
    done = hmrtk("atlas", "show", "onepiece", "--json")
    assert done.code == 0, done.err
    assert Path(done.json["out"]) == tmp_path / "ws/atlases/onepiece.png"
    assert list(np.asarray(Image.open(done.json["out"])).shape[:2]) == done.json["size"]


def test_another_body_with_densepose_s_file_beside_it(hmrtk: Hmrtk, failing: Failing, tmp_path: Path) -> None:
    body = load_body()
    content = {
        "v_template": body.v_template, "shapedirs": body.shapedirs, "posedirs": body.posedirs, "weights": body.weights,
        "J_regressor": body.joint_regressor, "f": body.faces[:, [1, 2, 0]].astype(np.uint32),
        "kintree_table": np.stack([body.parents.astype(np.int64), np.arange(24)]),
    }  # fmt: skip
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(content, protocol=2))
    given = ("--body", tmp_path / "SMPL_NEUTRAL.pkl")
    assert "put DensePose's UV_Processed.mat at" in failing("atlas", "check", *given)
    assert "put DecoMR's smpl_boundry_free_template.obj at" in failing("atlas", "show", "onepiece", *given)
    atlas = reference_atlas()
    savemat(tmp_path / "UV_Processed.mat", {
        "All_FaceIndices": atlas.chart[2:, None], "All_Faces": atlas.corner_faces[2:] + 1,
        "All_vertices": atlas.corner_vertices[None] + 1,
        "All_U_norm": atlas.corner_uv[:, :1], "All_V_norm": atlas.corner_uv[:, 1:],
    })  # fmt: skip
    done = hmrtk("atlas", "check", *given)
    assert done.code == 0
    assert "2 faces of the body missing" in done.out
    assert hmrtk("atlas", "check", tmp_path / "UV_Processed.mat", *given).out == done.out
    # The user's body has no regressor file for LSP's joints: the picture takes SMPL's.
    exported(tmp_path / "smpl_boundry_free_template.obj")
    assert hmrtk("atlas", "show", "onepiece", *given).code == 0
    hmrtk("atlas", "build", exported(tmp_path / "own.obj"))
    assert "is an atlas of a body with faces" in failing("atlas", "check", "ws/atlases/own.npz", *given)


def test_bad_input_gets_one_line(hmrtk: Hmrtk, failing: Failing, tmp_path: Path) -> None:
    assert "none.obj: no such file" in failing("atlas", "build", "none.obj")
    (tmp_path / "noise.obj").write_bytes(np.random.default_rng(0).bytes(3000))
    assert "noise.obj: is not text" in failing("atlas", "build", "noise.obj")
    (tmp_path / "plain.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1//1 2//1 3//1\n")
    assert "plain.obj line 4: corner '1//1' has no texture coordinate" in failing("atlas", "build", "plain.obj")
    assert "unknown atlas 'chart'; known: charts, " in failing("atlas", "check", "chart")
    assert "none.npz: no such file" in failing("atlas", "show", "none.npz")
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04 and no more")
    assert "half.npz: is not a readable .npz of plain arrays" in failing("atlas", "check", "half.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    assert "other.npz: expected hmrtk.atlas, got an .npz that hmrtk did not write" in failing(
        "atlas", "check", "other.npz"
    )
    (tmp_path / "file").write_text("")
    file = exported(tmp_path / "good.obj")
    assert "cannot be written" in failing("atlas", "build", file, "--out", tmp_path / "file/a.npz")
    assert "cannot be written" in failing("atlas", "show", "--out", tmp_path / "file/a.png")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("build",), "Missing argument 'FILE'"),
        (("build", "x.obj", "--charts", "udim"), "'udim' is not one of"),
        (("build", "x.obj", "--tolerance", "0"), "Invalid value for '--tolerance'"),
        (("check", "--size", "1"), "Invalid value for '--size'"),
    ],
)
def test_wrong_usage(hmrtk: Hmrtk, arguments: tuple[str, ...], text: str) -> None:
    done = hmrtk("atlas", *arguments)
    assert done.code == 2
    assert text in done.err


def test_newer_files_are_refused(hmrtk: Hmrtk, failing: Failing, tmp_path: Path) -> None:
    hmrtk("atlas", "build", exported(tmp_path / "own.obj"))
    path = tmp_path / "ws/atlases/own.npz"
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    metadata = json.loads(arrays["hmrtk"].tobytes()) | {"schema_version": 2}
    np.savez(path, **{**arrays, "hmrtk": np.frombuffer(json.dumps(metadata).encode(), np.uint8)})
    assert "has schema version 2, this hmrtk reads up to 1 (upgrade hmrtk)" in failing("atlas", "check", path)
