"""Regions of interest around the 24 joints, out of which partial IUV maps are cut (DaNet §4.1, Fig. 5).

In: 2D joints and the global map. Out: ``Rois``, which ``partial`` samples and renders, and a spatial transformer takes
as ``theta``. Two rules for the scale: the paper's (Eq. 2, ``joint_rois``) and its published code's (``bone_rois``).

Units. Joints are in px of the map. RoIs are in the coordinates of a spatial transformer: the map's left and top edges
are at -1, its right and lower edges at 1, and scale 1 is the whole map, so a scale is also the share of the map's side
that the RoI's side takes. The foreground's width and height (Eq. 2) are shares of the map's side; the lengths of bones,
and the joints' bounding box, are in the transformer's coordinates, where the side is 2.

A RoI that cannot be made (no foreground, a joint that is not finite or outside the map) never stops a batch: it is
marked in ``valid``, and shows the whole map so that ``theta`` stays finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.joints import PARENTS, SMPL_FLIP, SMPL_NAMES
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import square_affine
from hmrtk.toolkit.maps.partial_charts import JOINT_COUNT, VISIBILITY_MASK

DELTA = 0.1
"""δ of Eq. 2 (DaNet §5.1)."""

CENTER_JITTER, SCALE_JITTER = 0.05, 0.1
"""Training's jitter in DaNet's published code: transformer units added to the centre, share of the scale."""

_COVERED = 0.95


def _paired(middle: dict[str, float], sides: dict[str, float]) -> NDArray[np.float64]:
    """(24,) values of the joints in the middle, and of those that come as left and right."""
    sided = {f"{side}_{name}": value for name, value in sides.items() for side in ("left", "right")}
    return np.array([(middle | sided)[name] for name in SMPL_NAMES])


ALPHA = _paired(
    {"pelvis": 0.66, "spine1": 0.45, "spine2": 0.39, "spine3": 0.44, "neck": 0.26, "head": 0.15},
    {"hip": 0.37, "knee": 0.43, "ankle": 0.49, "foot": 0.57, "collar": 0.61, "shoulder": 0.28, "elbow": 0.32}
    | {"wrist": 0.24, "hand": 0.37},
)
"""(24,) α_k of Eq. 2. The paper's learned ratios are not published: these are ``fitted_alpha`` of the first 2000
training poses of the embedded motion capture at 56 px, rounded. Without jitter their RoIs hold 98.4 to 99.6 % of the
pixels of each joint's visibility charts."""

ALPHA_EQUAL = np.full(JOINT_COUNT, 0.5)
"""(24,) the ablation D-Net-ES (DaNet Table 8)."""

BONE_RATIO = _paired(
    {"pelvis": 1.0, "spine1": 1.29, "spine2": 1.39, "spine3": 0.39, "neck": 0.75, "head": 1.39},
    {"hip": 0.9, "knee": 0.68, "ankle": 0.96, "foot": 0.36, "collar": 1.24, "shoulder": 1.13, "elbow": 1.16}
    | {"wrist": 0.96, "hand": 1.58},
)
"""(24,) ratios of ``bone_rois``; with ``BONE_OFFSET``, the pair inside the learned pairs' published ranges (ratio
0.36-1.60, offset 0.014-0.755) that gives the smallest mean scale among those that cover as much as ``ALPHA`` does, over
the same poses. The feet have the published offset and the least ratio. The pelvis's are not read."""

BONE_OFFSET = _paired(
    {"pelvis": 0.0, "spine1": 0.27, "spine2": 0.25, "spine3": 0.38, "neck": 0.14, "head": 0.1},
    {"hip": 0.09, "knee": 0.16, "ankle": 0.08, "foot": 0.745, "collar": 0.41, "shoulder": 0.02, "elbow": 0.04}
    | {"wrist": 0.06, "hand": 0.24},
)
"""(24,) offsets of ``bone_rois``, in the transformer's coordinates."""

UNSEEN_SCALE = 0.8
"""Scale over the body's, of a joint whose charts are not seen where it is (DaNet's published code)."""

NEAR = 1 / 28
"""Share of the map's side (2 px of 56) within which a chart counts as seen at a joint, up, down and to the sides."""


@dataclass(frozen=True)
class Rois:
    """24 square regions for each of N maps, in a spatial transformer's coordinates.

    Attributes:
        center: (N, 24, 2) x, y from -1 to 1.
        scale: (N, 24) positive; 1 is the whole map.
        valid: (N, 24) whether the region could be made; else centre 0 and scale 1.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    valid: NDArray[np.bool_]

    @property
    def theta(self) -> NDArray[np.float64]:
        """(N, 24, 2, 3) partial map → map in the transformer's coordinates: torch's ``affine_grid`` takes it."""
        return np.concatenate([self.scale[..., None, None] * np.eye(2), self.center[..., None]], axis=-1)

    def affine(self, map_size: int, size: int) -> NDArray[np.float64]:
        """(N, 24, 2, 3) px of a ``map_size`` px map → px of a ``size`` px partial map (pixel centres at + 0.5)."""
        return square_affine((self.center + 1) / 2 * map_size, self.scale * map_size, size)

    def __len__(self) -> int:
        return len(self.center)

    def __getitem__(self, rows: slice) -> Rois:
        """The regions of some maps."""
        return Rois(self.center[rows], self.scale[rows], self.valid[rows])

    def mirrored(self) -> Rois:
        """The regions in the mirrored picture of the mirrored body."""
        flip = list(SMPL_FLIP)
        return Rois(self.center[:, flip] * np.array([-1.0, 1.0]), self.scale[:, flip], self.valid[:, flip])

    def jittered(self, rng: np.random.Generator, center: float = CENTER_JITTER, scale: float = SCALE_JITTER) -> Rois:
        """Each region moved and resized at random, uniformly (DaNet §5.1; its code does so twice in a row).

        Args:
            rng: the source of chance.
            center: at most so far in x and in y, transformer units.
            scale: at most this share larger or smaller, below 1.

        Raises:
            InputError: a share of 1 or more, or a negative amount.
        """
        if not (center >= 0 and 0 <= scale < 1):
            raise InputError("jitter", f"expected centre >= 0 and 0 <= scale < 1, got {center} and {scale}")
        moved = self.center + rng.uniform(-center, center, self.center.shape)
        resized = self.scale * (1 + rng.uniform(-scale, scale, self.scale.shape))
        return Rois(np.where(self.valid[..., None], moved, 0), np.where(self.valid, resized, 1), self.valid)


def joint_rois(
    joints: NDArray[np.floating[Any]], iuv: NDArray[np.uint8], alpha: ArrayLike = ALPHA, delta: float = DELTA
) -> Rois:
    """Eq. 2: c_k = j_k and s_k = α_k · max(w_bbox, h_bbox) + δ, with the bounding box of the map's foreground.

    Args:
        joints: (N, 24, 2) px of the map, SMPL's joints.
        iuv: (N, 3, S, S) coded global maps.
        alpha: (24,) or one for all joints (``ALPHA_EQUAL``).
        delta: share of the map's side.

    Raises:
        InputError: wrong shapes, or an α or δ that is negative or not finite.
    """
    points = _checked(joints, iuv)
    ratio, offset = _per_joint("alpha", alpha), _per_joint("delta", delta)
    extent = foreground_extent(iuv)
    return _rois(points, ratio * extent[:, None] + offset, extent > 0)


def bone_rois(
    joints: NDArray[np.floating[Any]],
    iuv: NDArray[np.uint8],
    ratio: ArrayLike = BONE_RATIO,
    offset: ArrayLike = BONE_OFFSET,
) -> Rois:
    """The scales of DaNet's published code: s_k = ratio_k · max(‖child − joint‖, ‖parent − joint‖) + offset_k.

    Of several children (spine3) the farthest counts; joints at the ends have their parent alone; neighbours that are
    not finite are left out. The pelvis takes half the longer side of the joints' bounding box, and a joint with none of
    its visibility charts within ``NEAR`` of it takes ``UNSEEN_SCALE`` times that, whatever its bones.

    Args:
        joints: (N, 24, 2) px of the map, SMPL's joints.
        iuv: (N, 3, S, S) coded global maps.
        ratio, offset: (24,) or one for all joints.

    Raises:
        InputError: as ``joint_rois``.
    """
    points = _checked(joints, iuv)
    ratios, offsets = _per_joint("ratio", ratio), _per_joint("offset", offset)
    finite = np.isfinite(points)
    extent = (
        np.where(finite, points, -np.inf).max(axis=1, initial=-np.inf)
        - np.where(finite, points, np.inf).min(axis=1, initial=np.inf)
    ).max(axis=1)
    whole = np.maximum(extent / 2, 0)[:, None]
    scale = ratios * _longest_bone(points) + offsets
    scale[:, :1] = whole
    seen = np.empty(scale.shape, np.bool_)
    _seen_near(np.ascontiguousarray(iuv), points, math.ceil(NEAR * iuv.shape[-1]), VISIBILITY_MASK, seen)
    return _rois(points, np.where(seen, scale, UNSEEN_SCALE * whole), foreground_extent(iuv) > 0)


def fitted_alpha(
    joints: NDArray[np.floating[Any]], iuv: NDArray[np.uint8], delta: float = DELTA, covered: float = _COVERED
) -> NDArray[np.float64]:
    """The α_k whose RoIs hold a share of what they are for: hand-crafted ratios for a dataset's own proportions.

    For each pixel of a joint's visibility charts, the α is computed whose RoI has it on its border after the worst
    jitter (centre off by ``CENTER_JITTER``, scale less by ``SCALE_JITTER``); α_k is a quantile of these over all pixels
    of all maps, those of the mirrored joint included.

    Args:
        joints: (N, 24, 2) px of the map, SMPL's joints; those not finite are left out.
        iuv: (N, 3, S, S) coded global maps.
        delta: δ of Eq. 2.
        covered: the quantile, 0 to 1.

    Returns:
        (24,) α_k, not below 0.

    Raises:
        InputError: wrong shapes, a share outside 0 to 1, or a joint of which no map shows a pixel.
    """
    if not 0 <= covered <= 1:
        raise InputError("covered", f"expected a share from 0 to 1, got {covered}")
    points, extent, size = _checked(joints, iuv), foreground_extent(iuv), iuv.shape[-1]
    needed = []
    for k in range(JOINT_COUNT):
        n, row, col = np.nonzero(VISIBILITY_MASK[k][iuv[:, 0]])
        off = np.abs((np.stack([col, row], axis=1) + 0.5) * (2 / size) - 1 - points[n, k]).max(axis=1)
        alpha = ((off + CENTER_JITTER) / (1 - SCALE_JITTER) - delta) / extent[n]
        needed.append(alpha[np.isfinite(alpha)])
    both = [np.concatenate([needed[k], needed[SMPL_FLIP[k]]]) for k in range(JOINT_COUNT)]
    for name, values in zip(SMPL_NAMES, both, strict=True):
        if not values.size:
            raise InputError("IUV maps", f"show no pixel of the {name.replace('_', ' ')}'s charts")
    return np.maximum([np.quantile(values, covered) for values in both], 0)


def foreground_extent(iuv: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,) max(w_bbox, h_bbox) of the foreground of (N, 3, S, S) maps, share of the side; 0 where there is none."""
    sides = []
    for axis in (1, 2):
        line = iuv[:, 0].max(axis=axis, initial=0) > 0  # (N, S)
        length = line.shape[1] - line[:, ::-1].argmax(axis=1) - line.argmax(axis=1)
        sides.append(np.where(np.any(line, axis=1), length, 0))
    return np.maximum(*sides) / iuv.shape[-1]


def _rois(points: NDArray[np.float64], scale: NDArray[np.float64], shown: NDArray[np.bool_]) -> Rois:
    """Regions at ``points`` (N, 24, 2) in the transformer's coordinates; shown: (N,) maps with a foreground."""
    inside = (np.abs(points) <= 1).all(axis=-1)  # also refuses NaN
    valid = shown[:, None] & inside & np.isfinite(scale) & (scale > 0)
    return Rois(np.where(valid[..., None], points, 0), np.where(valid, scale, 1), valid)


def _longest_bone(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 24) distance to the farthest of parent and children; NaN where no neighbour is finite."""
    longest = np.full(points.shape[:2], np.nan)
    for child, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        bone = np.linalg.norm(points[:, child] - points[:, parent], axis=-1)
        for end in (child, parent):
            longest[:, end] = np.fmax(longest[:, end], bone)
    return longest


@njit(cache=True, nogil=True)
def _seen_near(iuv, points, reach, mask, seen):  # type: ignore[no-untyped-def]
    """Fill ``seen`` (N, 24): whether a chart of ``mask`` (24, 25) is within ``reach`` px of the joint's pixel."""
    size = iuv.shape[2]
    for n in range(seen.shape[0]):
        for k in range(seen.shape[1]):
            x, y = points[n, k, 0], points[n, k, 1]
            seen[n, k] = False
            if not (abs(x) <= 1.0 and abs(y) <= 1.0):
                continue
            col, row = int((x + 1.0) * 0.5 * size), int((y + 1.0) * 0.5 * size)
            for i in range(max(0, row - reach), min(size, row + reach + 1)):
                for j in range(max(0, col - reach), min(size, col + reach + 1)):
                    if mask[k, iuv[n, 0, i, j]]:
                        seen[n, k] = True


def _checked(joints: NDArray[np.floating[Any]], iuv: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, 24, 2) joints in the transformer's coordinates, a joint with one bad coordinate NaN in both."""
    check_square_maps(iuv)
    if np.shape(joints) != (len(iuv), JOINT_COUNT, 2):
        raise InputError("joints", f"expected shape ({len(iuv)}, {JOINT_COUNT}, 2), got {np.shape(joints)}")
    points = np.asarray(joints, np.float64) * (2 / iuv.shape[-1]) - 1
    return np.where(np.isfinite(points).all(axis=-1, keepdims=True), points, np.nan)


def check_square_maps(iuv: NDArray[np.uint8]) -> None:
    """Refuse what is no (N, 3, S, S) coded map.

    Raises:
        InputError: another shape or dtype, no pixels, or a chart above 24.
    """
    if iuv.ndim != 4 or iuv.shape[1] != 3 or iuv.shape[2] != iuv.shape[3] or not iuv.shape[3] or iuv.dtype != np.uint8:
        raise InputError("IUV map", f"expected uint8 (N, 3, S, S), got {iuv.dtype} {iuv.shape}")
    last = VISIBILITY_MASK.shape[1] - 1
    if iuv.size and iuv[:, 0].max() > last:
        raise InputError("IUV map", f"has chart {iuv[:, 0].max()}, expected 0 to {last}")


def _per_joint(name: str, value: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(value, np.float64)
    if numbers.shape not in ((), (JOINT_COUNT,)):
        raise InputError(name, f"expected one number or ({JOINT_COUNT},), got shape {numbers.shape}")
    if not (np.isfinite(numbers) & (numbers >= 0)).all():
        raise InputError(name, "is negative or not finite")
    return np.broadcast_to(numbers, (JOINT_COUNT,))
