from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.reference import onepiece_uv_arrays
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import onepiece_atlas
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.maps.onepiece import TEMPLATE_NAME, onepiece_for_body, read_onepiece_obj


@pytest.fixture
def template(tmp_path: Path, body: BodyModel) -> Path:
    """A file as DecoMR's is laid out, made from the packaged atlas."""
    arrays = onepiece_uv_arrays()
    lines = ["# template", *("v {} {} {}".format(*row) for row in body.v_template)]
    lines += [f"vt {u!r} {v!r}" for u, v in arrays["vt"].tolist()]
    lines += ["f " + " ".join(f"{v + 1}/{t + 1}/{v + 1}" for v, t in zip(*f, strict=True)) for f in _corners(body)]
    path = tmp_path / TEMPLATE_NAME
    path.write_text("\n".join(lines) + "\n")
    return path


def _corners(body: BodyModel) -> list[tuple[list[int], list[int]]]:
    return list(zip(body.faces.tolist(), onepiece_uv_arrays()["ft"].tolist(), strict=True))


def test_template_gives_the_same_space(template: Path, body: BodyModel) -> None:
    atlas = read_onepiece_obj(template, body.faces)
    np.testing.assert_array_equal(atlas.vertices_faces, body.faces)
    np.testing.assert_array_equal(atlas.face_index, np.arange(len(body.faces)))
    raw = onepiece_uv_arrays()
    np.testing.assert_array_equal(atlas.corner_uv[atlas.corner_faces], raw["vt"][raw["ft"]])
    own, other = UVSpace(onepiece_atlas(), 64), UVSpace(atlas, 64)
    assert (own.mask != other.mask).mean() < 0.02  # the packaged layout is made symmetric when it is loaded


def test_body_of_another_topology_needs_the_file_beside_it(template: Path, body: BodyModel) -> None:
    assert onepiece_for_body(body) is onepiece_atlas()
    other: Any = SimpleNamespace(faces=body.faces[::-1], place=template.parent / "body.npz", v_template=body.v_template)
    atlas = onepiece_for_body(other)
    np.testing.assert_array_equal(atlas.vertices_faces, other.faces[atlas.face_index])
    template.unlink()
    with pytest.raises(InputError, match=f"has no one-piece atlas .*put DecoMR's {TEMPLATE_NAME} at"):
        onepiece_for_body(other)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nf ", "\nf 1/1/1 2/2/2\nf ", r"line \d+: expected a face of three or more corners, got 'f 1/1/1 2/2/2'"),
        ("\nf ", "\nf 1 2 3\nf ", r"line \d+: corner '1' has no texture coordinate, expected v/vt \(export the mesh"),
        ("\nvt ", "\nvt x 0\nvt ", r"line \d+: cannot be read: 'vt x 0'"),
        ("\nf ", "\nf 1/9999 2/2 3/3\nf ", "names texture coordinate 9999, the file has 7374"),
        ("\nf ", "\nf 1/1 2/2 3000/3\nf ", r"1 of 13777 faces are not faces of the body \(the first in line \d+\)"),
        ("\nvt ", "\nvt 2 0\nvt ", "chart 1 runs from .* to 2 in U and .* in V, expected 0 to 1"),
    ],
)
def test_refusals(template: Path, body: BodyModel, old: str, new: str, message: str) -> None:
    template.write_text(template.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_onepiece_obj(template, body.faces)


def test_other_faces_and_no_faces_are_refused(template: Path, body: BodyModel) -> None:
    others = body.faces.copy()
    others[:, 0] = (others[:, 0] + 7) % 6890
    with pytest.raises(InputError, match=r"\d+ of 13776 faces are not faces of the body .*pass the body that"):
        read_onepiece_obj(template, others)
    template.write_text("v 0 0 0\n")
    with pytest.raises(InputError, match="has no faces"):
        read_onepiece_obj(template, body.faces)
    template.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not text"):
        read_onepiece_obj(template, body.faces)
    with pytest.raises(InputError, match="no such file"):
        read_onepiece_obj(template.parent / "other.obj", body.faces)
