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
    other: Any = SimpleNamespace(faces=body.faces[::-1], place=template.parent / "body.npz")
    np.testing.assert_array_equal(onepiece_for_body(other).face_index, np.arange(len(body.faces))[::-1])
    template.unlink()
    with pytest.raises(InputError, match=f"has no one-piece atlas .*put DecoMR's {TEMPLATE_NAME} at"):
        onepiece_for_body(other)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nf ", "\nf 1/1/1 2/2/2\nf ", r"line \d+: expected a triangle"),
        ("\nf ", "\nf 1 2 3\nf ", r"line \d+: expected a triangle v/t v/t v/t, got 'f 1 2 3'"),
        ("\nvt ", "\nvt x 0\nvt ", r"line \d+: cannot be read: 'vt x 0'"),
        ("\nf ", "\nf 1/9999 2/2 3/3\nf ", "names texture coordinate 9999 of 7374"),
        ("\nf ", "\nf 1/1 2/2 3/3\nf ", "has 13777 faces, expected the 13776 of the body"),
        ("\nvt ", "\nvt 2 0\nvt ", r"corner_uv\[\d+, 0\] is 2.0, expected 0.0 to 1.0"),
    ],
)
def test_refusals(template: Path, body: BodyModel, old: str, new: str, message: str) -> None:
    template.write_text(template.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_onepiece_obj(template, body.faces)


def test_other_faces_and_no_faces_are_refused(template: Path, body: BodyModel) -> None:
    with pytest.raises(InputError, match="of 13776 faces are not faces of the body"):
        read_onepiece_obj(template, (body.faces + 1) % 6890)
    template.write_text("v 0 0 0\n")
    with pytest.raises(InputError, match="has no faces"):
        read_onepiece_obj(template, body.faces)
    template.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not text"):
        read_onepiece_obj(template, body.faces)
    with pytest.raises(InputError, match="no such file"):
        read_onepiece_obj(template.parent / "other.obj", body.faces)
