"""``PrototypeSet``: K mean bodies as one safetensors file, and SPIN's ``smpl_mean_params.npz`` in and out.

``kmeans`` makes them; the memory of the networks, ``measure``, shards and reports read them. K = 1 is the singular
prototype.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.geometry.rotation import (
    axis_angle_to_rotmat,
    rot6d_to_rotmat,
    rotmat_to_axis_angle,
    rotmat_to_rot6d,
)
from hmrtk.toolkit.records.artefact import atomic_path, local_copy, open_input
from hmrtk.toolkit.records.remote import Place, located

KIND = "hmrtk.prototypes"
SCHEMA_VERSION = 1
METADATA_KEY = "hmrtk"
MEAN_CAMERA = (0.9, 0.0, 0.0)
"""(s, tx, ty) of SPIN's mean parameters; PM-Net §III-B: the camera is the same in every prototype."""

_SHAPES: dict[str, tuple[Any, ...]] = {
    "global_orient": ("K", 3),
    "body_pose": ("K", 23, 3),
    "rot6d": ("K", 24, 6),
    "betas": ("K", 10),
    "camera": (3,),
    "counts": ("K",),
    "mean_distance": ("K",),
    "singular_global_orient": (1, 3),
    "singular_body_pose": (1, 23, 3),
    "singular_betas": (1, 10),
}


@dataclass(frozen=True, eq=False)
class PrototypeSet:
    """K prototypes.

    Attributes:
        parameters: K bodies; axis-angle float32, radians, ``transl`` zero.
        camera: (3,) float32 crop camera (s, tx, ty), the same for all.
        counts: (K,) int64 samples assigned to each.
        mean_distance: (K,) float32 metres, mean of its samples' ``Labels.distance``; 0 where there are none.
        singular: one body, the mean of the same samples: what ``distance_to_singular`` refers to.
        metadata: plain JSON values; ``body``, ``method``, ``weights``, ``k``, ``seed``, ``iterations``, ``history``
            and more (see ``kmeans.fit_prototypes``).
        place: file it was read from, for error messages.
    """

    parameters: BodyParameters
    camera: NDArray[np.float32]
    counts: NDArray[np.int64]
    mean_distance: NDArray[np.float32]
    singular: BodyParameters
    metadata: dict[str, Any] = field(default_factory=dict)
    place: str = "prototypes"

    @classmethod
    def of(
        cls,
        parameters: BodyParameters,
        metadata: Mapping[str, Any],
        counts: NDArray[Any] | None = None,
        mean_distance: NDArray[Any] | None = None,
        singular: BodyParameters | None = None,
        camera: tuple[float, float, float] = MEAN_CAMERA,
    ) -> PrototypeSet:
        """Build from bodies; ``singular`` may be left out for K = 1, counts and distances default to zero."""
        k = len(parameters)
        if singular is None and k != 1:
            raise InputError("prototypes", f"{k} prototypes need the singular prototype of the same samples")
        still = parameters.replaced(transl=np.zeros((k, 3)))
        return cls(
            still,
            np.array(camera, np.float32),
            np.zeros(k, np.int64) if counts is None else np.asarray(counts, np.int64),
            np.zeros(k, np.float32) if mean_distance is None else np.asarray(mean_distance, np.float32),
            still if singular is None else singular.replaced(transl=np.zeros((1, 3))),
            {**metadata, "k": k},
        )

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def global_orient(self) -> NDArray[np.float32]:
        return self.parameters.global_orient

    @property
    def body_pose(self) -> NDArray[np.float32]:
        return self.parameters.body_pose

    @property
    def betas(self) -> NDArray[np.float32]:
        return self.parameters.betas

    @property
    def rot6d(self) -> NDArray[np.float32]:
        """(K, 24, 6) float32, interleaved columns; always derived from the axis-angle."""
        exact = axis_angle_to_rotmat(self.parameters.pose.astype(np.float64))
        return rotmat_to_rot6d(exact).astype(np.float32)

    @property
    def body(self) -> str:
        """Fingerprint of the body the prototypes live on; empty when they came without one (SPIN's file)."""
        return str(self.metadata.get("body", ""))

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of sha256 over the bodies and the camera."""
        digest = hashlib.sha256()
        for array in (self.global_orient, self.body_pose, self.betas, self.camera):
            digest.update(np.ascontiguousarray(array, "<f4").tobytes())
        return digest.hexdigest()[:16]

    def check_body(self, body: BodyModel) -> None:
        """Refuse another body than the one the set was made with.

        Raises:
            BodyMismatchError: naming both fingerprints.
        """
        if self.body and self.body != body.fingerprint:
            raise BodyMismatchError(self.place, body.fingerprint, self.body)

    def singular_set(self) -> PrototypeSet:
        """The singular prototype as a set of its own (K = 1)."""
        kept: dict[str, Any] = {
            name: self.metadata[name] for name in ("body", "weights", "root") if name in self.metadata
        }
        return replace(PrototypeSet.of(self.singular, {**kept, "method": "mean"}), place=self.place)

    def save(self, path: str | Place) -> None:
        """Write atomically; the same set gives the same bytes.

        Raises:
            OutputError: the file cannot be written.
        """
        tensors = {
            "global_orient": self.global_orient,
            "body_pose": self.body_pose,
            "rot6d": self.rot6d,
            "betas": self.betas,
            "camera": self.camera,
            "counts": self.counts,
            "mean_distance": self.mean_distance,
            "singular_global_orient": self.singular.global_orient,
            "singular_body_pose": self.singular.body_pose,
            "singular_betas": self.singular.betas,
        }
        value = {**self.metadata, "kind": KIND, "schema_version": SCHEMA_VERSION, "fingerprint": self.fingerprint}
        blob = json.dumps(value, sort_keys=True, ensure_ascii=False)
        with atomic_path(path) as temporary:
            save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, temporary, {METADATA_KEY: blob})

    @classmethod
    def load(cls, path: str | Place) -> PrototypeSet:
        """Read a set.

        Raises:
            InputError: missing file, not safetensors, another kind, a newer version, missing array, wrong shape, NaN.
        """
        metadata, arrays = _read(path)
        _check_arrays(path, arrays)
        parameters = BodyParameters.of(arrays["global_orient"], arrays["body_pose"], arrays["betas"])
        singular = BodyParameters.of(*(arrays[f"singular_{n}"] for n in ("global_orient", "body_pose", "betas")))
        parameters.check(f"{path} prototype")
        return cls(
            parameters,
            arrays["camera"].astype(np.float32),
            arrays["counts"].astype(np.int64),
            arrays["mean_distance"].astype(np.float32),
            singular,
            metadata,
            str(path),
        )


def from_spin_mean_params(path: str | Place) -> PrototypeSet:
    """Read SPIN's ``smpl_mean_params.npz``: ``pose`` (144,) rot6d interleaved, ``shape`` (10,), ``cam`` (3,).

    The file names no body, so the set fits any.

    Raises:
        InputError: missing, not npz, missing array, wrong shape, NaN, or not a rotation.
    """
    with open_input(path) as stream:
        try:
            with np.load(stream, allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name], np.float32) for name in ("pose", "shape", "cam") if name in file}
        except Exception as error:  # numpy raises anything from ValueError to zlib.error on damaged files
            raise InputError(path, "is not a readable npz file", str(error).splitlines()[0][:120]) from None
    for name, size in (("pose", 144), ("shape", 10), ("cam", 3)):
        if name not in arrays:
            raise InputError(path, f"has no array {name}", "expected SPIN's smpl_mean_params.npz: pose, shape, cam")
        if arrays[name].shape != (size,):
            raise InputError(path, f"{name} has shape {arrays[name].shape}, expected {(size,)}")
        if not np.isfinite(arrays[name]).all():
            raise InputError(path, f"{name} has NaN or infinite values")
    try:
        rotmat = rot6d_to_rotmat(arrays["pose"].astype(np.float64).reshape(1, 24, 6))
    except InputError as error:
        raise InputError(path, f"pose is no rotation: {error.problem}") from None
    pose = rotmat_to_axis_angle(rotmat)
    metadata = {"method": "mean", "body": "", "root": "given", "source": located(path).name}
    camera = tuple(float(value) for value in arrays["cam"])
    parameters = BodyParameters.of(pose[:, 0], pose[:, 1:], arrays["shape"][None])
    return replace(PrototypeSet.of(parameters, metadata, camera=camera), place=str(path))  # type: ignore[arg-type]


def to_spin_mean_params(prototypes: PrototypeSet, path: str | Place) -> None:
    """Write the singular prototype as SPIN's ``smpl_mean_params.npz``.

    Raises:
        OutputError: the file cannot be written.
    """
    rot6d = prototypes.singular_set().rot6d.reshape(144)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, pose=rot6d, shape=prototypes.singular.betas[0], cam=prototypes.camera)


def _read(path: str | Place) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with local_copy(path) as local, safe_open(str(local), framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError, TypeError):
        raise InputError(path, "is not a readable safetensors file", "truncated, or another format") from None
    known = metadata if isinstance(metadata, dict) else {}
    if known.get("kind") != KIND:
        raise InputError(path, f"expected {KIND}, got {known.get('kind') or 'a file that hmrtk did not write'}")
    found = known.get("schema_version")
    if not isinstance(found, int) or found > SCHEMA_VERSION:
        raise InputError(path, f"has schema version {found}, this hmrtk reads up to {SCHEMA_VERSION}", "upgrade hmrtk")
    return {k: v for k, v in metadata.items() if k not in ("kind", "schema_version", "fingerprint")}, arrays


def _check_arrays(path: str | Place, arrays: Mapping[str, NDArray[Any]]) -> None:
    k = len(arrays["global_orient"]) if arrays.get("global_orient", np.zeros(())).ndim else 0
    for name, shape in _SHAPES.items():
        if name not in arrays:
            raise InputError(path, f"has no array {name}")
        expected = tuple(k if size == "K" else size for size in shape)
        if arrays[name].shape != expected or k == 0:
            raise InputError(path, f"{name} has shape {arrays[name].shape}, expected {expected}")
        if not np.isfinite(arrays[name]).all():
            raise InputError(path, f"{name} has NaN or infinite values")
