"""Poses and shapes of result files → ``BodyParameters``, in whichever of the usual forms a system wrote them.

The modules of the formats call this; it takes checked or unchecked arrays and names file, key and row in errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT, BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.result import Floats
from hmrtk.toolkit.records.fields import numbers, rotation_vectors


def body_parameters(pose: Floats, betas: Floats, place: str) -> BodyParameters:
    """Bodies of ``axis_angles`` (N, 24, 3) and ``ten_betas`` (N, 10).

    Raises:
        InputError: counts that differ, or betas that no person has; the row is named.
    """
    if len(pose) != len(betas):
        raise InputError(place, f"has {len(pose)} poses and {len(betas)} shapes")
    parameters = BodyParameters.of(pose[:, 0], pose[:, 1:], betas)
    parameters.check(place)
    return parameters


def axis_angles(value: Any, key: str, place: str, joints: int = JOINT_COUNT) -> Floats:
    """(N, J, 3) axis-angle, radians, of (N, J·3), (N, J, 3), (N, J·9) or (N, J, 3, 3).

    Raises:
        InputError: another shape, NaN or infinity, or a matrix that is no rotation; the row is named.
    """
    given = rows_of(value, key, place)
    width = given.shape[1]
    if width == joints * 9:
        return rotation_vectors(given.reshape(-1, joints, 3, 3), key, place)
    if width != joints * 3:
        shape = np.shape(value)
        raise InputError(
            place, f"{key} has shape {shape}, expected ({shape[0]}, {joints * 3}) or ({shape[0]}, {joints}, 3, 3)"
        )
    return given.reshape(-1, joints, 3)


def torchgeometry_axis_angles(value: Any, key: str, place: str) -> tuple[Floats, dict[int, str]]:
    """``axis_angles`` of a pose that may have NaN, and row → why for the rows that do; these are zeros.

    ``torchgeometry.rotation_matrix_to_angle_axis`` writes NaN for some rotations, and many systems export with it.
    """
    array = np.asarray(value)
    if array.dtype.kind != "f" or array.ndim != 2:
        return axis_angles(value, key, place), {}
    bad = ~np.isfinite(array).all(axis=1)
    why = f"its {key} has NaN or infinite values"
    sound = np.where(bad[:, None], 0, array)
    return axis_angles(sound, key, place), {row: why for row in np.flatnonzero(bad).tolist()}


def ten_betas(value: Any, key: str, place: str) -> Floats:
    """(N, 10) of (N, ≥ 10) shape coefficients; those beyond the tenth may go only where they are 0.

    Raises:
        InputError: fewer than 10, NaN, or a coefficient beyond the tenth; the row is named.
    """
    given = rows_of(value, key, place)
    if given.shape[1] < BETA_COUNT:
        raise InputError(place, f"{key} has {given.shape[1]} values per body, expected {BETA_COUNT}")
    spare = given[:, BETA_COUNT:].any(axis=1)
    if spare.any():
        raise InputError(
            f"{place} row {int(spare.argmax())}",
            f"{key} has {given.shape[1]} values and those beyond the tenth are not 0",
            f"export the system's shape with {BETA_COUNT} coefficients",
        )
    return given[:, :BETA_COUNT]


def rows_of(value: Any, key: str, place: str, width: int | None = None) -> Floats:
    """(N, W) float64, finite, of anything with N rows; ``width`` asks for so many numbers per row.

    Raises:
        InputError: no array of numbers, no rows, another width, NaN or infinity; the row is named.
    """
    array = np.asarray(value)
    if array.ndim < 1 or not array.shape[0]:
        raise InputError(place, f"{key} has no rows")
    flat = numbers(array.reshape(len(array), -1), key, (None, None), place)
    if width is not None and flat.shape[1] != width:
        raise InputError(place, f"{key} has shape {array.shape}, expected ({len(array)}, {width})")
    return flat


def same_count(counts: dict[str, int], place: str) -> int:
    """N, when all the named arrays have N rows.

    Raises:
        InputError: they differ; all counts are named.
    """
    if len(set(counts.values())) > 1:
        raise InputError(place, f"has rows that differ: {', '.join(f'{key} {n}' for key, n in counts.items())}")
    return next(iter(counts.values()))
