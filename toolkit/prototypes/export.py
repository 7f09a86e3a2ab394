"""Prototypes for other programs: meshes as binary glTF and OBJ, parameters as PM-Net's memory M.

In: a ``PrototypeSet`` and the body that poses it; out: files. Meshes are in metres with y up: the camera frame turned
half around x, so a person who stands before the camera stands upright and faces +z, as glTF wants it. Called by
``cli``; ``prototype_set`` writes SPIN's ``smpl_mean_params.npz``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT, BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import rot6d_to_rotmat, rotmat_to_axis_angle
from hmrtk.toolkit.prototypes.features import POSE_WIDTH, pose_prototypes
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import atomic_path, write_bytes

MEMORY_WIDTH = POSE_WIDTH + BETA_COUNT + 3
"""157: a row of PM-Net's memory M (§III-B)."""

CAMERA_TO_Y_UP = np.array([1, -1, -1], np.float32)
SPACING_M = 2.0
"""Distance of neighbouring prototypes in the glTF scene, so that none stands in another."""
_COLOUR = (0.31, 0.46, 0.65)
"""Linear RGB of the one material."""

_ARRAY_BUFFER, _INDEX_BUFFER = 34962, 34963
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_TYPES = {_FLOAT: "<f4", _UNSIGNED_SHORT: "<u2", _UNSIGNED_INT: "<u4"}


# -- parameters -------------------------------------------------------------------------------------------------------


def memory_array(prototypes: PrototypeSet) -> NDArray[np.float32]:
    """PM-Net's memory M: (K, 157) float32, row k is prototype k (the ``label`` of its samples).

    Columns 0-143: rot6d (interleaved columns) of the 24 joints in SMPL's order, the root first; 144-153: betas;
    154-156: crop camera (s, tx, ty), the same in every row.
    """
    k = len(prototypes)
    camera = np.broadcast_to(prototypes.camera, (k, 3))
    return np.concatenate([prototypes.rot6d.reshape(k, POSE_WIDTH), prototypes.betas, camera], axis=1)


def memory_bodies(memory: ArrayLike) -> tuple[BodyParameters, NDArray[np.float32]]:
    """The bodies (K) and cameras (K, 3) of an M as ``memory_array`` makes it, or as a network has changed it.

    Raises:
        InputError: another shape than (K, 157), NaN, or columns that span no rotation.
    """
    rows = np.asarray(memory, np.float32)
    if rows.ndim != 2 or rows.shape[1] != MEMORY_WIDTH:
        raise InputError("memory", f"expected shape (K, {MEMORY_WIDTH}), got {rows.shape}")
    if not np.isfinite(rows).all():
        raise InputError(f"memory row {int((~np.isfinite(rows)).any(axis=1).argmax())}", "has NaN or infinite values")
    rot6d = rows[:, :POSE_WIDTH].astype(np.float64).reshape(-1, JOINT_COUNT, 6)
    pose = rotmat_to_axis_angle(rot6d_to_rotmat(rot6d))
    betas, camera = np.split(rows[:, POSE_WIDTH:], [BETA_COUNT], axis=1)
    return BodyParameters.of(pose[:, 0], pose[:, 1:], betas), camera


def write_memory(prototypes: PrototypeSet, path: str | Path) -> None:
    """Write ``memory_array`` as ``.npy``.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, memory_array(prototypes))


# -- meshes -----------------------------------------------------------------------------------------------------------


def y_up_vertices(parameters: BodyParameters, body: BodyModel) -> NDArray[np.float32]:
    """(K, 6890, 3) float32 metres, y up, z towards the camera, at the body's own origin."""
    return pose_prototypes(body, parameters) * CAMERA_TO_Y_UP


def vertex_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float32]:
    """(V, 3) float32 unit normals, outward, each the area-weighted mean of the faces around its vertex.

    A vertex of no face (or of faces without area) gets (0, 0, 1).
    """
    corners = vertices.astype(np.float64)[faces]  # (F, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    where = faces.ravel()
    shared = np.repeat(normals, 3, axis=0)
    total = np.stack([np.bincount(where, shared[:, axis], len(vertices)) for axis in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.where(length > 0, length, 1), (0, 0, 1)).astype(np.float32)


def prototype_name(index: int, k: int) -> str:
    """``prototype-07``: as wide as the largest index, so that files sort by it."""
    return f"prototype-{index:0{max(2, len(str(k - 1)))}d}"


def write_obj_folder(prototypes: PrototypeSet, body: BodyModel, folder: Path) -> list[Path]:
    """One ``prototype-<index>.obj`` per prototype.

    Raises:
        BodyMismatchError: the set was made with another body.
        OutputError: a file cannot be written.
    """
    prototypes.check_body(body)
    faces = "".join("f {} {} {}\n".format(*face) for face in (body.faces + 1).tolist())
    paths = []
    for index, vertices in enumerate(y_up_vertices(prototypes.parameters, body)):
        name = prototype_name(index, len(prototypes))
        head = f"# metres, y up; {prototypes.counts[index]} samples\no {name}\n"
        points = ("v %.6f %.6f %.6f\n" * len(vertices)) % tuple(vertices.ravel().tolist())
        write_bytes(folder / f"{name}.obj", (head + points + faces).encode())
        paths.append(folder / f"{name}.obj")
    return paths


def write_glb(prototypes: PrototypeSet, body: BodyModel, path: Path) -> None:
    """All prototypes as one binary glTF 2.0: one node each, largest cluster first, side by side in a grid.

    The nodes are named as ``prototype_name`` does; their ``extras`` hold the number of samples and their mean distance.

    Raises:
        BodyMismatchError: the set was made with another body.
        OutputError: the file cannot be written.
    """
    prototypes.check_body(body)
    vertices = y_up_vertices(prototypes.parameters, body)
    order = np.argsort(-prototypes.counts, kind="stable")
    names = [prototype_name(int(i), len(prototypes)) for i in order]
    counts, distances = prototypes.counts[order].tolist(), prototypes.mean_distance[order].tolist()
    extras = [{"samples": n, "mean_distance_m": d} for n, d in zip(counts, distances, strict=True)]
    write_bytes(path, glb_bytes(vertices[order], body.faces, names, extras))


def glb_bytes(
    vertices: NDArray[np.float32],
    faces: NDArray[np.integer],
    names: Sequence[str],
    extras: Sequence[Mapping[str, Any]],
) -> bytes:
    """Meshes that share their faces as binary glTF 2.0 (Khronos specification, "GLB File Format").

    Args:
        vertices: (K, V, 3) metres, y up.
        faces: (F, 3), counter-clockwise seen from outside.
        names, extras: K each, of the nodes; ``extras`` are plain JSON values.
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
        "scenes": [{"name": "prototypes", "nodes": list(range(len(nodes)))}],
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
