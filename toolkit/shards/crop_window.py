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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import SMPLArrays
from hmrtk.toolkit.body.joints import joint_set
from hmrtk.toolkit.body.mirror import mirror_pose
from hmrtk.toolkit.geometry.camera import CROP_SIZE, FOCAL_LENGTH, MIN_JOINTS
from hmrtk.toolkit.geometry.rotation import axis_angle_to_quat_wxyz, quat_wxyz_to_axis_angle
from hmrtk.toolkit.records.crops import EXPANSION, REGION_FACTOR
from hmrtk.toolkit.shards.augmentation import Change, Changes

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
        """(..., 3) metres for betas (..., 10)."""
        return self.template + (self.directions * betas[..., None, :]).sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Window:
    """A square of the full image, and how its content is mirrored and turned; or one for each row of a batch.

    Attributes:
        box: (..., 3) centre x, y and side b of the row's own crop box, px of the full image.
        square: (..., 3) the same of the window.
        flip: (...) bool, and turn: (...) radians; as in ``Change``.
    """

    box: NDArray[np.float64]
    square: NDArray[np.float64]
    flip: NDArray[np.bool_]
    turn: NDArray[np.float64]

    @classmethod
    def of(cls, row: Mapping[str, Any], change: Change | Changes) -> Window:
        """The window of a changed row, or those of the rows of a batch.

        Args:
            row: with ``region`` (..., 3), and ``keypoints2d`` where ``upper_body`` asks for them.
            change: one, or one per row.
        """
        box = np.asarray(row["region"], np.float64) / [1, 1, REGION_FACTOR]
        around = box
        if np.any(change.upper_body) and "keypoints2d" in row:
            around = _upper_squares(row["keypoints2d"], box, np.asarray(change.upper_body))
        side = around[..., 2:]
        centre = around[..., :2] + np.asarray(change.shift) * side
        square = np.concatenate([centre, side * np.asarray(change.scale)[..., None]], axis=-1)
        return cls(box, square, np.asarray(change.flip), np.asarray(change.turn, np.float64))

    @cached_property
    def linear(self) -> NDArray[np.float64]:
        """T: (..., 2, 2) orthogonal; mirrors, then turns."""
        cosine, sine, sign = np.cos(self.turn), np.sin(self.turn), np.where(self.flip, -1.0, 1.0)
        return np.stack([np.stack([sign * cosine, -sine], -1), np.stack([sign * sine, cosine], -1)], -2)

    @property
    def changed(self) -> NDArray[np.bool_]:
        """(...) whether the body is another one: mirrored or turned."""
        return self.flip | (self.turn != 0)

    def affine(self, size: int) -> NDArray[np.float64]:
        """(..., 2, 3) full-image px → px of the window at ``size`` px."""
        return self._around(self.square[..., :2], size / self.square[..., 2], size)

    def region_affine(self, region_px: int, size: int) -> NDArray[np.float64]:
        """(..., 2, 3) px of the region's picture (or map) of ``region_px`` → px of the window's of ``size``."""
        px = region_px / (REGION_FACTOR * self.box[..., 2:])  # region px per px of the full image
        centre = (self.square[..., :2] - self.box[..., :2]) * px + region_px / 2
        return self._around(centre, size / (self.square[..., 2] * px[..., 0]), size)

    def _around(self, centre: NDArray[np.float64], zoom: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """The map that puts the centre on the window's middle."""
        linear = zoom[..., None, None] * self.linear
        return np.concatenate([linear, size / 2 - linear @ centre[..., None]], axis=-1)

    def points(self, points: NDArray[Any]) -> NDArray[Any]:
        """Camera-frame points (..., P, 3 or more), x, y and z first, mirrored and turned; left and right not
        exchanged.
        """
        moved = points.copy()
        moved[..., :2] = points[..., :2] @ np.swapaxes(self.linear, -1, -2)
        return moved

    def pose(self, global_orient: NDArray[Any], body_pose: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(..., 3) and (..., 23, 3) axis-angle of the mirrored and turned body."""
        if self.flip.any():
            pose = np.concatenate([global_orient[..., None, :], body_pose], axis=-2)
            pose = np.where(self.flip[..., None, None], mirror_pose(pose), pose)
            global_orient, body_pose = pose[..., 0, :], pose[..., 1:, :]
        turned = (self.turn != 0) & np.isfinite(global_orient).all(axis=-1)
        if turned.any():
            global_orient = global_orient.copy()
            global_orient[turned] = _turned_root(global_orient[turned], self.turn[turned])
        return global_orient, body_pose

    def transl(self, transl: NDArray[Any], pelvis: NDArray[np.float64]) -> NDArray[Any]:
        """(..., 3) metres: puts the pelvis at rest (..., 3) of the changed body where T puts the old body's."""
        return (self.points((transl + pelvis)[..., None, :])[..., 0, :] - pelvis).astype(transl.dtype)

    def crop_camera(self, camera: NDArray[Any], pelvis: NDArray[np.float64]) -> NDArray[Any]:
        """(..., 3) = (s, tx, ty) of the window for the changed body, from that of the row's own crop.

        With k the window's side over b, d its centre's way in px of the 224 px crop, and D the pelvis's depth: the new
        depth is k·D, and the pelvis lands exactly where the affine map puts it. Flip and turn alone are exact. With k
        or d, a point ζ metres behind the pelvis that the affine map puts r px from the old crop's centre (before the
        zoom) is off by ζ·|(1 − k)·r − d| / (k·(k·D + ζ)) px: the camera's focal length stays 5000 px while a true zoom
        would change it, and moving the window would tilt the view. On the embedded dataset SPIN's changes leave a joint
        0.02 px off at the median and 0.8 px at most (99 %: 0.35 px of 224); the crops of Multi-Crop HMR 0.12 px and,
        for a near person's hand in the crop of 0.65, 3.7 px (99 %: 1.7 px).
        """
        side = self.box[..., 2]
        zoom = self.square[..., 2] / side
        way = (self.square[..., :2] - self.box[..., :2]) * (CROP_SIZE / side)[..., None]
        depth = 2 * FOCAL_LENGTH / (CROP_SIZE * camera[..., 0].astype(np.float64))
        reach = pelvis[..., 2] + depth  # D
        seen = pelvis[..., :2] + camera[..., 1:] - way * (reach / FOCAL_LENGTH)[..., None]
        place = (self.linear @ seen[..., None])[..., 0]
        scale = 2 * FOCAL_LENGTH / (CROP_SIZE * (zoom * reach - pelvis[..., 2]))
        return np.concatenate([scale[..., None], place - pelvis[..., :2]], axis=-1).astype(camera.dtype)

    def camera_matrix(self, focal: NDArray[Any], principal: NDArray[Any], size: int) -> NDArray[np.float64]:
        """(..., 2, 3): (X/Z, Y/Z, 1) of the changed body in the camera frame → px of the window; exact.

        Args:
            focal, principal: (..., 2) px of the full image's camera.
        """
        affine = self.affine(size)
        pinhole = affine[..., :2] * focal[..., None, :]  # (..., 2, 2)
        centre = affine[..., :2] @ principal[..., None] + affine[..., 2:]
        return np.concatenate([pinhole @ np.swapaxes(self.linear, -1, -2), centre], axis=-1)

    def turned_square(self, principal: NDArray[Any]) -> NDArray[np.float64]:
        """(..., 3) centre x, y and side, px: the window in the full image mirrored and turned about its principal
        point.

        There the window is upright, and the changed body is seen by the unchanged camera: what CLIFF's box information
        (§3.2) and full-image camera are computed from. After a turn that is exact for fx = fy only; ``camera_matrix``
        is always.
        """
        way = (self.linear @ (self.square[..., :2] - principal)[..., None])[..., 0]
        return np.concatenate([principal + way, self.square[..., 2:]], axis=-1)


def _upper_squares(
    keypoints2d: NDArray[Any], box: NDArray[np.float64], wanted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(..., 3) ``upper_square`` where it is wanted, else the box."""
    squares = box.copy()
    for place in zip(*np.nonzero(np.atleast_1d(wanted)), strict=True):
        one = place if wanted.ndim else ()
        squares[one] = upper_square(keypoints2d[one], tuple(box[one].tolist()))
    return squares


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


def _turned_root(axis_angle: NDArray[Any], turn: NDArray[np.float64]) -> NDArray[Any]:
    """R_z(turn) · R(axis_angle), of (N, 3) and (N,)."""
    w, x, y, z = axis_angle_to_quat_wxyz(axis_angle.astype(np.float64)).T
    c, s = np.cos(turn / 2), np.sin(turn / 2)
    turned = np.stack([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w], axis=-1)
    return quat_wxyz_to_axis_angle(turned).astype(axis_angle.dtype)
