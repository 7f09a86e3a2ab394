"""Prototypes for other programs: meshes as binary glTF and OBJ, parameters as PM-Net's memory M.

In: a ``PrototypeSet`` and the body that poses it; out: files. Meshes are in metres with y up: the camera frame turned
half around x, so a person who stands before the camera stands upright and faces +z, as glTF wants it. Called by
``cli``; ``prototype_set`` writes SPIN's ``smpl_mean_params.npz``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.mesh_file import CAMERA_TO_Y_UP, glb_bytes, obj_bytes
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT, BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import rot6d_to_rotmat, rotmat_to_axis_angle
from hmrtk.toolkit.prototypes.features import POSE_WIDTH, pose_prototypes
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import atomic_path, write_bytes

MEMORY_WIDTH = POSE_WIDTH + BETA_COUNT + 3
"""157: a row of PM-Net's memory M (§III-B)."""


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
    paths = []
    for index, vertices in enumerate(y_up_vertices(prototypes.parameters, body)):
        name = prototype_name(index, len(prototypes))
        remark = f"metres, y up; {prototypes.counts[index]} samples"
        write_bytes(folder / f"{name}.obj", obj_bytes(vertices, body.faces, name, remark))
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
    write_bytes(path, glb_bytes(vertices[order], body.faces, names, extras, "prototypes"))
