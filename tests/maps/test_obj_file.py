from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.obj_file import UNNAMED, ObjMesh, read_obj

SQUARE = """\
# a unit square, two ways
mtllib square.mtl
v 0 0 0
v 1 0 0 0.5 0.5 0.5
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0 0
vt 1 1
vt 0 1
vn 0 0 1
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "mesh.obj"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path: Path, text: str | bytes) -> ObjMesh:
    return read_obj(written(tmp_path, text))


def test_quad_with_everything_a_face_may_have(tmp_path: Path) -> None:
    mesh = read(tmp_path, SQUARE + "f 1/1/1 2/2/1 3/3/1 4/4/1\nf 1/1 3/3 4/4 # diagonal\n")
    np.testing.assert_array_equal(mesh.vertices[1], [1, 0, 0])
    np.testing.assert_array_equal(mesh.coordinates[1], [1, 0])
    np.testing.assert_array_equal(mesh.starts, [0, 4, 7])
    np.testing.assert_array_equal(mesh.corners[:, 0], [0, 1, 2, 3, 0, 2, 3])
    np.testing.assert_array_equal(mesh.corners[:, 0], mesh.corners[:, 1])
    np.testing.assert_array_equal(mesh.lines, [12, 13])


@pytest.mark.parametrize(
    "face",
    [
        "f -4/-4 -3/-3 -2/-2 -1/-1",
        "f 1/1 \\\n  2/2 \\\n3/3 4/4",
        "f\t1/1\t2/2  3/3 4/4   ",
        "f 1/-4/1 2/-3/-1 3/3/1 4/4/1",
    ],
)
def test_spellings_of_one_face(tmp_path: Path, face: str) -> None:
    for text in (SQUARE + face, (SQUARE + face + "\n").replace("\n", "\r\n"), "\ufeff" + SQUARE + face):
        mesh = read(tmp_path, text)
        np.testing.assert_array_equal(mesh.corners, np.repeat(np.arange(4)[:, None], 2, axis=1))
        assert mesh.lines[0] == 12


def test_backward_indices_count_from_where_they_stand(tmp_path: Path) -> None:
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf -3/-3 -2/-2 -1/-1\nv 5 5 5\nf -4/1 -3/2 -2/3\n"
    mesh = read(tmp_path, text)
    np.testing.assert_array_equal(mesh.corners[:, 0], [0, 1, 2, 0, 1, 2])


def test_groups_objects_and_materials(tmp_path: Path) -> None:
    triangle = "f 1/1 2/2 3/3\n"
    text = (
        SQUARE
        + triangle
        + "o thing\ng left arm\nusemtl skin#2\n"
        + triangle
        + "usemtl cloth\n"
        + triangle
        + "g\n"
        + triangle
    )
    mesh = read(tmp_path, text)
    assert mesh.names == {"groups": (UNNAMED, "left arm"), "materials": (UNNAMED, "skin#2", "cloth")}
    np.testing.assert_array_equal(mesh.labels["groups"], [0, 1, 1, 0])
    np.testing.assert_array_equal(mesh.labels["materials"], [0, 1, 2, 2])
    objects = read(tmp_path, SQUARE + "o a\n" + triangle + "o b\n" + triangle)
    assert objects.names["groups"] == ("a", "b")


def test_names_in_another_encoding_and_windows_paths_in_comments(tmp_path: Path) -> None:
    text = SQUARE.encode() + b"# saved in C:\\meshes\\\nusemtl H\xe4nde\nf 1/1 2/2 3/3\n"
    assert len(read(tmp_path, text).names["materials"][0]) == 5


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("f 1//1 2//1 3//1", r"line 12: corner '1//1' has no texture coordinate, expected v/vt \(export the mesh with"),
        ("f 1 2 3", "line 12: corner '1' has no texture coordinate"),
        ("f 1/1 2/2", "line 12: expected a face of three or more corners, got 'f 1/1 2/2'"),
        ("f 1/1 2/2 9/3", "line 12: names vertex 9, the file has 4"),
        ("f 1/1 2/2 3/9", "line 12: names texture coordinate 9, the file has 4"),
        ("f 0/1 2/2 3/3", "line 12: names vertex 0, expected 1 or more, or -1 to -4 backwards"),
        ("f -5/1 2/2 3/3", "line 12: names vertex -5"),
        ("f 1/1 2/2 x/3", "line 12: cannot be read: 'f 1/1 2/2 x/3'"),
        ("v 1 2", "line 12: expected v x y z, got 'v 1 2'"),
        ("v 1 2 nan", "line 12: has a value that is not finite: 'v 1 2 nan'"),
        ("vt inf 0", "line 12: has a value that is not finite"),
        ("vt", "line 12: cannot be read: 'vt'"),
        ("v " + "1" * 90 + " 2 x", "line 12: cannot be read: 'v 1{77}…'"),
        ("", r"mesh.obj: has no faces \(expected a Wavefront OBJ"),
    ],
)
def test_refusals(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, SQUARE + lines + "\n")


def test_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_obj(tmp_path / "none.obj")
    with pytest.raises(InputError, match="is a directory, expected a file"):
        read_obj(tmp_path)
    with pytest.raises(InputError, match=r"is not text \(expected a Wavefront OBJ file\)"):
        read(tmp_path, np.random.default_rng(0).bytes(4096))
    with pytest.raises(InputError, match="has no faces"):
        read(tmp_path, b"")
