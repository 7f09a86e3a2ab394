"""The file of an atlas: one ``.npz`` of plain arrays with its kind, schema version and provenance inside.

``hmrtk atlas build`` writes it, ``atlas_choice`` reads it. Arrays: those of ``Atlas``, and ``hmrtk``, the bytes of a
JSON object: kind, schema_version, name, symmetric, charts (number → name), fingerprint (of the atlas), body_faces
(fingerprint of the body's faces it belongs to), provenance, facts of the build.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.records.artefact import open_input, write_bytes
from hmrtk.toolkit.records.remote import Place

KIND = "hmrtk.atlas"
SCHEMA_VERSION = 1
METADATA_KEY = "hmrtk"

_ARRAYS: dict[str, Any] = {
    "corner_vertices": np.int32,
    "corner_uv": np.float32,
    "corner_faces": np.int32,
    "face_index": np.int32,
    "chart": np.uint8,
}
_REMEDY = "expected a file of hmrtk atlas build"


@dataclass(frozen=True)
class AtlasFile:
    """An atlas with what its file says of it.

    Attributes:
        atlas: the atlas.
        charts: number → name.
        body_faces: ``faces_fingerprint`` of the body's faces it was made for.
        metadata: the whole JSON object.
    """

    atlas: Atlas
    charts: dict[int, str]
    body_faces: str
    metadata: dict[str, Any] = field(default_factory=dict)


def faces_fingerprint(faces: NDArray[np.integer]) -> str:
    """16 hex characters over a body's faces (F, 3), in their order: what an atlas depends on of a body."""
    return hashlib.sha256(np.ascontiguousarray(faces, "<i4").tobytes()).hexdigest()[:16]


def write_atlas(
    place: str | Place,
    atlas: Atlas,
    charts: Mapping[int, str],
    faces: NDArray[np.integer],
    provenance: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write an atlas atomically.

    Args:
        place: the ``.npz`` to write.
        atlas: with ``face_index``.
        charts: number → name.
        faces: (F, 3) the body's faces.
        provenance: ``records.artefact.provenance``.
        facts: of the build, plain JSON values.

    Raises:
        OutputError: a place that cannot be written.
    """
    metadata = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "name": atlas.name,
        "symmetric": atlas.symmetric,
        "charts": {str(number): name for number, name in charts.items()},
        "fingerprint": atlas.fingerprint,
        "body_faces": faces_fingerprint(faces),
        "provenance": dict(provenance),
        "facts": dict(facts or {}),
    }
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    arrays = {key: getattr(atlas, key) for key in _ARRAYS}
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **{METADATA_KEY: np.frombuffer(text, np.uint8)}, **arrays)
    write_bytes(place, stream.getvalue())


def read_atlas(place: str | Place, faces: NDArray[np.integer] | None = None) -> AtlasFile:
    """Read an atlas and prove that it is whole.

    Args:
        place: the ``.npz``.
        faces: (F, 3) faces of the active body; refuses an atlas of other faces.

    Raises:
        InputError: missing, damaged or foreign file, a newer schema version, arrays that are no atlas, or another body.
    """
    arrays, metadata = _loaded(place)
    for key, dtype in _ARRAYS.items():
        if arrays[key].dtype != dtype:
            raise InputError(place, f"{key}: expected {np.dtype(dtype)}, got {arrays[key].dtype}")
    atlas = Atlas(name=str(metadata["name"]), symmetric=bool(metadata["symmetric"]), **arrays)
    atlas.check(place, None if faces is None else int(np.max(faces)) + 1)
    if atlas.fingerprint != metadata["fingerprint"]:
        raise InputError(place, "was changed after it was written: its fingerprint does not fit", "build it again")
    body_faces = str(metadata["body_faces"])
    if faces is not None and body_faces != faces_fingerprint(faces):
        raise InputError(
            place,
            f"is an atlas of a body with faces {body_faces}, the active body has {faces_fingerprint(faces)}",
            "pass the same --body, or build it again",
        )
    charts = {int(number): str(chart) for number, chart in metadata["charts"].items()}
    return AtlasFile(atlas, charts, body_faces, metadata)


def _loaded(place: str | Place) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of an atlas and its metadata, from a file that says it is one."""
    with open_input(place) as stream:
        data = stream.read()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in (METADATA_KEY, *_ARRAYS) if key in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(place, f"is not a readable .npz of plain arrays: {reason}", _REMEDY) from None
    metadata = _metadata(place, arrays.pop(METADATA_KEY, None))
    missing = [key for key in _ARRAYS if key not in arrays]
    if missing:
        raise InputError(place, f"has no array {', '.join(missing)}", "build it again")
    return arrays, metadata


def _metadata(place: str | Place, raw: NDArray[Any] | None) -> dict[str, Any]:
    if raw is None:
        raise InputError(place, f"expected {KIND}, got an .npz that hmrtk did not write", _REMEDY)
    try:
        metadata = json.loads(raw.astype(np.uint8).tobytes())
        kind, version = str(metadata["kind"]), int(metadata["schema_version"])
    except (ValueError, TypeError, KeyError):
        raise InputError(place, "has damaged metadata", "build it again") from None
    if kind != KIND:
        raise InputError(place, f"expected {KIND}, got {kind}", _REMEDY)
    if version > SCHEMA_VERSION:
        raise InputError(
            place, f"has schema version {version}, this hmrtk reads up to {SCHEMA_VERSION}", "upgrade hmrtk"
        )
    absent = [key for key in ("name", "symmetric", "charts", "fingerprint", "body_faces") if key not in metadata]
    charts = metadata.get("charts")
    if absent or not isinstance(charts, dict) or not all(number.isdecimal() for number in charts):
        raise InputError(place, f"has damaged metadata: no {', '.join(absent) or 'chart names'}", "build it again")
    return metadata
