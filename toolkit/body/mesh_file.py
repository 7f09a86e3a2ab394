"""Meshes as files for other programs: Wavefront OBJ and binary glTF.

In: posed vertices, metres, y up (the camera frame turned half around x, so that a person who stands before the camera
stands upright and faces +z, as glTF wants it). Out: bytes. Prototypes and predictions are written with these.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.normals import vertex_normals

CAMERA_TO_Y_UP = np.array([1, -1, -1], np.float32)
"""Camera frame → y up: half a turn about x."""
SPACING_M = 2.0
"""Distance of neighbouring meshes in a glTF scene, so that none stands in another."""
_COLOUR = (0.31, 0.46, 0.65)
"""Linear RGB of the one material."""

_ARRAY_BUFFER, _INDEX_BUFFER = 34962, 34963
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_TYPES = {_FLOAT: "<f4", _UNSIGNED_SHORT: "<u2", _UNSIGNED_INT: "<u4"}


def obj_bytes(vertices: NDArray[np.float32], faces: NDArray[np.integer], name: str, remark: str) -> bytes:
    """One mesh as Wavefront OBJ.

    Args:
        vertices: (V, 3). faces: (F, 3). name: of the object. remark: of the first line.
    """
    points = ("v %.6f %.6f %.6f\n" * len(vertices)) % tuple(vertices.ravel().tolist())
    corners = "".join("f {} {} {}\n".format(*face) for face in (faces + 1).tolist())
    return (f"# {remark}\no {name}\n" + points + corners).encode()


def glb_bytes(
    vertices: NDArray[np.float32],
    faces: NDArray[np.integer],
    names: Sequence[str],
    extras: Sequence[Mapping[str, Any]],
    scene: str,
) -> bytes:
    """Meshes that share their faces as binary glTF 2.0 (Khronos specification, "GLB File Format").

    Args:
        vertices: (K, V, 3) metres, y up.
        faces: (F, 3), counter-clockwise seen from outside.
        names, extras: K each, of the nodes; ``extras`` are plain JSON values.
        scene: its name.
    """
    chunks = _Chunks()
    kind = _UNSIGNED_SHORT if vertices.shape[1] < 0xFFFF else _UNSIGNED_INT
    indices = chunks.add(faces.reshape(-1, 1), kind, "SCALAR", _INDEX_BUFFER)
    meshes: list[dict[str, Any]] = []
    for name, points in zip(names, vertices, strict=True):
        attributes = {
            "POSITION": chunks.add(points, _FLOAT, "VEC3", _ARRAY_BUFFER),
            "NORMAL": chunks.add(vertex_normals(points, faces), _FLOAT, "VEC3", _ARRAY_BUFFER),
        }
        meshes.append({"name": name, "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]})
    places = _grid(len(names))
    nodes = [
        {"name": name, "mesh": mesh, "translation": place, "extras": dict(extra)}
        for mesh, (name, place, extra) in enumerate(zip(names, places, extras, strict=True))
    ]
    surface = {"baseColorFactor": [*_COLOUR, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.75}
    document = {
        "asset": {"version": "2.0", "generator": "hmrtk"},
        "scene": 0,
        "scenes": [{"name": scene, "nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": [{"name": "body", "pbrMetallicRoughness": surface}],
        "accessors": chunks.accessors,
        "bufferViews": chunks.views,
        "buffers": [{"byteLength": len(chunks.data)}],
    }
    text = _padded(json.dumps(document, separators=(",", ":")).encode(), b" ")
    data = _padded(bytes(chunks.data), b"\0")
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data))
    return b"".join(
        [head, struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", len(data), b"BIN\0"), data]
    )


class _Chunks:
    """The buffer of a glTF file: arrays one after the other, each with its view and accessor."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, array: NDArray[Any], kind: int, shape: str, target: int) -> int:
        """Append (N, components); returns the accessor's number. POSITION needs the bounds, others may have them."""
        stored = np.ascontiguousarray(array, _TYPES[kind])
        self.data += b"\0" * (-len(self.data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": stored.nbytes, "target": target})
        self.data += stored.tobytes()
        bounds = {"min": stored.min(axis=0).tolist(), "max": stored.max(axis=0).tolist()}
        entry = {"bufferView": len(self.views) - 1, "componentType": kind, "count": len(stored), "type": shape}
        self.accessors.append({**entry, **bounds})
        return len(self.accessors) - 1


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 4)


def _grid(count: int) -> list[list[float]]:
    """Places in rows of about twice as many columns as rows, the first in the front row on the left."""
    columns = max(1, round(np.sqrt(2 * count)))
    middle = (min(columns, count) - 1) / 2
    return [[SPACING_M * (i % columns - middle), 0.0, -SPACING_M * (i // columns)] for i in range(count)]
