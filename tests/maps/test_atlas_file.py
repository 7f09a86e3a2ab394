from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.atlas_file import SCHEMA_VERSION, faces_fingerprint, read_atlas, write_atlas
from hmrtk.toolkit.maps.charts import CHART_NAMES
from hmrtk.toolkit.records.artefact import provenance

CHARTS = dict(enumerate(CHART_NAMES))


@pytest.fixture
def written(tmp_path: Path, body: BodyModel) -> Path:
    path = tmp_path / "sub" / "atlas.npz"
    made = provenance("atlas build", {"charts": "groups"}, body.fingerprint, {"obj": "0" * 64}, None)
    write_atlas(path, reference_atlas(), CHARTS, body.faces, made, {"corners": 7907})
    return path


def test_round_trip(written: Path, body: BodyModel) -> None:
    found = read_atlas(written, body.faces)
    assert found.atlas.fingerprint == reference_atlas().fingerprint
    for field in ("corner_vertices", "corner_uv", "corner_faces", "face_index", "chart"):
        np.testing.assert_array_equal(getattr(found.atlas, field), getattr(reference_atlas(), field))
    assert found.atlas.symmetric
    assert found.charts == CHARTS
    assert found.body_faces == faces_fingerprint(body.faces)
    assert found.metadata["provenance"]["config"] == {"charts": "groups"}
    assert found.metadata["facts"] == {"corners": 7907}
    assert read_atlas(written).atlas.name == "reference"
    assert [p.name for p in written.parent.iterdir()] == ["atlas.npz"]


def test_equal_content_gives_equal_bytes(written: Path, tmp_path: Path, body: BodyModel) -> None:
    made = provenance("atlas build", {"charts": "groups"}, body.fingerprint, {"obj": "0" * 64}, None)
    write_atlas(tmp_path / "again.npz", reference_atlas(), CHARTS, body.faces, made, {"corners": 7907})
    assert (tmp_path / "again.npz").read_bytes() == written.read_bytes()


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change arrays and metadata of a file in place."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    metadata = json.loads(arrays["hmrtk"].tobytes())
    change(arrays, metadata)
    if isinstance(arrays.get("hmrtk"), np.ndarray) and arrays["hmrtk"].dtype == np.uint8:
        arrays["hmrtk"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    path.write_bytes(stream.getvalue())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a, m: m.update(kind="hmrtk.prototypes"),
            r"expected hmrtk.atlas, got hmrtk.prototypes \(expected a file",
        ),
        (lambda a, m: m.update(schema_version=9), r"has schema version 9, this hmrtk reads up to 1 \(upgrade hmrtk\)"),
        (lambda a, m: m.update(schema_version="new"), "has damaged metadata"),
        (lambda a, m: m.pop("kind"), "has damaged metadata"),
        (lambda a, m: m.pop("fingerprint"), "has damaged metadata: no fingerprint"),
        (lambda a, m: m.update(charts={"one": "x"}), "has damaged metadata: no chart names"),
        (lambda a, m: a.pop("hmrtk"), "expected hmrtk.atlas, got an .npz that hmrtk did not write"),
        (lambda a, m: a.update(hmrtk=np.array(["x"])), "has damaged metadata"),
        (lambda a, m: a.pop("chart"), r"has no array chart \(build it again\)"),
        (lambda a, m: a.update(chart=a["chart"].astype(np.int64)), "chart: expected uint8, got int64"),
        (lambda a, m: a.update(corner_uv=a["corner_uv"] * np.float32(np.nan)), r"corner_uv\[0, 0\] is nan"),
        (lambda a, m: a.update(corner_faces=a["corner_faces"] + np.int32(1)), r"is 7907, expected 0 to 7906"),
        (lambda a, m: a.update(corner_vertices=a["corner_vertices"][:, None]), "corner_vertices: expected shape"),
        (lambda a, m: a.update(chart=a["chart"][:5]), r"chart: expected shape \(13776,\), got \(5,\)"),
        (lambda a, m: a.update(corner_uv=a["corner_uv"] * np.float32(0.5)), "its fingerprint does not fit"),
        (lambda a, m: m.update(symmetric=False), "its fingerprint does not fit"),
    ],
)
def test_refusals(written: Path, body: BodyModel, change: Callable[..., None], message: str) -> None:
    rewritten(written, change)
    with pytest.raises(InputError, match=message) as error:
        read_atlas(written, body.faces)
    assert "atlas.npz" in str(error.value)


def test_files_that_are_no_atlas(written: Path, tmp_path: Path) -> None:
    whole = written.read_bytes()
    for data in (whole[: len(whole) // 2], whole[:40], b"", np.random.default_rng(0).bytes(5000)):
        written.write_bytes(data)
        with pytest.raises(InputError, match=r"is not a readable \.npz of plain arrays"):
            read_atlas(written)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"is not a readable \.npz of plain arrays"):
        read_atlas(tmp_path / "one.npy")
    np.savez(tmp_path / "pickled.npz", hmrtk=np.array([{}], object))
    with pytest.raises(InputError, match=r"is not a readable \.npz of plain arrays"):
        read_atlas(tmp_path / "pickled.npz")
    with pytest.raises(InputError, match="no such file"):
        read_atlas(tmp_path / "none.npz")


def test_flipped_bytes_never_pass_unnoticed(written: Path, body: BodyModel) -> None:
    whole = bytearray(written.read_bytes())
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(whole), 40).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        written.write_bytes(damaged)
        try:
            found = read_atlas(written, body.faces)
        except InputError:
            continue
        assert found.atlas.fingerprint == reference_atlas().fingerprint


def test_another_body_is_refused(written: Path, body: BodyModel) -> None:
    with pytest.raises(
        InputError, match=r"is an atlas of a body with faces \w{16}, the active body has \w{16} \(pass the"
    ):
        read_atlas(written, body.faces[::-1])


def test_unwritable_output_leaves_the_old_file(written: Path, body: BodyModel) -> None:
    before = written.read_bytes()
    with pytest.raises(OutputError, match="cannot be written"):
        write_atlas(written / "below.npz", reference_atlas(), CHARTS, body.faces, {})
    assert written.read_bytes() == before
    assert SCHEMA_VERSION == 1
    changed = replace(reference_atlas(), name="other")
    write_atlas(written, changed, CHARTS, body.faces, {})
    assert read_atlas(written).atlas.name == "other"
