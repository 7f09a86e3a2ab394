"""The network's window onto a row: which square of the full image it shows, mirrored and turned, and its cameras.

In: a row's region and a ``Change``. Out: affine maps, points, bodies and cameras in the window. Used by
``augmented_row``.

A flip and a turn of the picture are the same as mirroring the scene at the plane x = 0 of the camera frame and turning
it about the optical axis: with T = R(turn) · diag(±1, 1) on x and y, a point (X, Y, Z) becomes (T·(X, Y), Z), and its
image about the principal point turns with it. So the body, its translation and the full-image camera stay exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import cos, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import SMPLArrays
from hmrtk.toolkit.body.joints import joint_set
from hmrtk.toolkit.body.mirror import mirror_pose
from hmrtk.toolkit.geometry.camera import CROP_SIZE, FOCAL_LENGTH, MIN_JOINTS
from hmrtk.toolkit.geometry.rotation import axis_angle_to_quat_wxyz, quat_wxyz_to_axis_angle
from hmrtk.toolkit.records.crops import EXPANSION, REGION_FACTOR
from hmrtk.toolkit.shards.augmentation import Change

_SPIN24 = joint_set("spin24")
_BELOW = ("ankle", "knee")
UPPER_BODY = tuple(i for i, name in enumerate(_SPIN24.joints) if not name.endswith(_BELOW))
"""Joints of ``spin24`` from the hips upwards."""


@dataclass(frozen=True)
class Pelvis:
    """Where SMPL's pelvis is at rest: ``global_orient`` turns the body about it, so turning a body moves its origin.

    Attributes:
        template: (3,) metres.
        directions: (3, 10) metres per unit of beta.
    """

    template: NDArray[np.float64]
    directions: NDArray[np.float64]

    @classmethod
    def of(cls, arrays: SMPLArrays) -> Pelvis:
        """The pelvis of a body file."""
        row = arrays.joint_regressor[0].toarray()[0].astype(np.float64)  # (V,)
        return cls(row @ arrays.v_template, np.einsum("v,vij->ij", row, arrays.shapedirs.astype(np.float64)))

    def __call__(self, betas: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(3,) metres for betas (10,)."""
        return self.template + self.directions @ betas


@dataclass(frozen=True)
class Window:
    """A square of the full image, and how its content is mirrored and turned.

    Attributes:
        box: centre x, y and side b of the row's own crop box, px of the full image.
        square: the same of the window.
        flip, turn: as in ``Change``.
    """

    box: tuple[float, float, float]
    square: tuple[float, float, float]
    flip: bool
    turn: float

    @classmethod
    def of(cls, row: Mapping[str, Any], change: Change) -> Window:
        """The window of a changed row, from its ``region`` (and ``keypoints2d`` where ``upper_body`` asks for them)."""
        x, y, side = (float(value) for value in row["region"])
        box = (x, y, side / REGION_FACTOR)
        x, y, side = upper_square(row["keypoints2d"], box) if change.upper_body and "keypoints2d" in row else box
        square = (x + change.shift[0] * side, y + change.shift[1] * side, side * change.scale)
        return cls(box, square, change.flip, change.turn)

    @cached_property
    def linear(self) -> NDArray[np.float64]:
        """T: (2, 2) orthogonal; mirrors, then turns."""
        cosine, sine, sign = cos(self.turn), sin(self.turn), -1.0 if self.flip else 1.0
        return np.array([[sign * cosine, -sine], [sign * sine, cosine]])

    def affine(self, size: int) -> NDArray[np.float64]:
        """(2, 3) full-image px → px of the window at ``size`` px."""
        return self._around(*self.square[:2], size / self.square[2], size)

    def region_affine(self, region_px: int, size: int) -> NDArray[np.float64]:
        """(2, 3) px of the region's picture (or map) of ``region_px`` → px of the window's of ``size``."""
        px = region_px / (REGION_FACTOR * self.box[2])  # region px per px of the full image
        x, y = (place - middle for place, middle in zip(self.square[:2], self.box[:2], strict=True))
        half = region_px / 2
        return self._around(x * px + half, y * px + half, size / (self.square[2] * px), size)

    def _around(self, x: float, y: float, zoom: float, size: int) -> NDArray[np.float64]:
        """The map that puts (x, y) on the window's middle. Plain numbers: it is made several times per row."""
        (a, b), (c, d) = self.linear.tolist()
        a, b, c, d = zoom * a, zoom * b, zoom * c, zoom * d
        return np.array([[a, b, size / 2 - a * x - b * y], [c, d, size / 2 - c * x - d * y]])

    def points(self, points: NDArray[Any]) -> NDArray[Any]:
        """Camera-frame points (..., 3 or more), x, y and z first, mirrored and turned; left and right not exchanged."""
        moved = points.copy()
        moved[..., :2] = points[..., :2] @ self.linear.T
        return moved

    def pose(self, global_orient: NDArray[Any], body_pose: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(3,) and (23, 3) axis-angle of the mirrored and turned body."""
        if self.flip:
            mirrored = mirror_pose(np.concatenate([global_orient[None], body_pose]))
            global_orient, body_pose = mirrored[0], mirrored[1:]
        if self.turn and np.isfinite(global_orient).all():
            global_orient = _turned_root(global_orient, self.turn)
        return global_orient, body_pose

    def transl(self, transl: NDArray[Any], pelvis: NDArray[np.float64]) -> NDArray[Any]:
        """(3,) metres: the translation that puts the pelvis at rest (3,) of the changed body where T puts it."""
        return (self.points(transl + pelvis) - pelvis).astype(transl.dtype)

    def crop_camera(self, camera: NDArray[Any], pelvis: NDArray[np.float64]) -> NDArray[Any]:
        """(3,) = (s, tx, ty) of the window for the changed body, from that of the row's own crop.

        With k the window's side over b, d its centre's way in px of the 224 px crop, and D the pelvis's depth: the new
        depth is k·D, and the pelvis lands exactly where the affine map puts it. Flip and turn alone are exact. With k
        or d, a point ζ metres behind the pelvis that the affine map puts r px from the old crop's centre (before the
        zoom) is off by ζ·|(1 − k)·r − d| / (k·(k·D + ζ)) px: the camera's focal length stays 5000 px while a true zoom
        would change it, and moving the window would tilt the view. On the embedded dataset SPIN's changes leave a joint
        0.02 px off at the median and 0.8 px at most (99 %: 0.35 px of 224); the crops of Multi-Crop HMR 0.12 px and,
        for a near person's hand in the crop of 0.65, 3.7 px (99 %: 1.7 px).
        """
        side = self.box[2]
        zoom = self.square[2] / side
        way = (np.array(self.square[:2]) - self.box[:2]) * (CROP_SIZE / side)
        depth = 2 * FOCAL_LENGTH / (CROP_SIZE * float(camera[0]))
        reach = pelvis[2] + depth  # D
        place = self.linear @ (pelvis[:2] + camera[1:] - way * (reach / FOCAL_LENGTH))
        scale = 2 * FOCAL_LENGTH / (CROP_SIZE * (zoom * reach - pelvis[2]))
        return np.array([scale, *(place - pelvis[:2])]).astype(camera.dtype)

    def camera_matrix(self, focal: NDArray[Any], principal: NDArray[Any], size: int) -> NDArray[np.float64]:
        """(2, 3): (X/Z, Y/Z, 1) of the changed body in the camera frame → px of the window; exact.

        Args:
            focal, principal: (2,) px of the full image's camera.
        """
        affine = self.affine(size)
        pinhole = affine[:, :2] * focal  # (2, 2)
        return np.column_stack([pinhole @ self.linear.T, affine[:, :2] @ principal + affine[:, 2]])

    def turned_square(self, principal: NDArray[Any]) -> NDArray[np.float64]:
        """(3,) centre x, y and side, px: the window in the full image mirrored and turned about its principal point.

        There the window is upright, and the changed body is seen by the unchanged camera: what CLIFF's box information
        (§3.2) and full-image camera are computed from. After a turn that is exact for fx = fy only; ``camera_matrix``
        is always.
        """
        return np.append(principal + self.linear @ (np.array(self.square[:2]) - principal), self.square[2])


def upper_square(keypoints2d: NDArray[Any], box: tuple[float, float, float]) -> tuple[float, float, float]:
    """The square around the confident joints from the hips upwards, 1.2 times their longer side and not larger than the
    box; the box itself where fewer than six are confident.

    Args:
        keypoints2d: (24, 3) px of the full image and confidence.
        box: centre x, y and side, px.
    """
    upper = keypoints2d[list(UPPER_BODY)].astype(np.float64)
    seen = upper[upper[:, 2] > 0, :2]
    if len(seen) < MIN_JOINTS:
        return box
    low, high = seen.min(0), seen.max(0)
    longer = float((high - low).max())
    if longer <= 0:
        return box
    centre = (low + high) / 2
    return float(centre[0]), float(centre[1]), min(longer * EXPANSION, box[2])


def _turned_root(axis_angle: NDArray[Any], turn: float) -> NDArray[Any]:
    """R_z(turn) · R(axis_angle)."""
    w, x, y, z = axis_angle_to_quat_wxyz(axis_angle.astype(np.float64))
    c, s = cos(turn / 2), sin(turn / 2)
    turned = np.array([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w])
    return quat_wxyz_to_axis_angle(turned).astype(axis_angle.dtype)
