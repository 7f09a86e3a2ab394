"""One row of a shard through a ``Change``: the network's crop, and everything that belongs to it, consistently.

In: a decoded row (``rows.RowDecoder``) and a ``Change``. Out: the row with the same columns for the crop. For data
loading, between decoding and ``to_tensors``; the readers do not call it by themselves.

Every column of the row that augmentation touches is replaced; the others stay. In the new row:

    image            (size, size, 3) uint8, one bilinear warp from the region; black outside it
    keypoints2d      (24, 3) px of the crop (not of the full image) and confidence
    joints3d         (24, 4) camera frame, mirrored and turned about the optical axis
    global_orient, body_pose, transl   the mirrored and turned body; betas stay
    crop_camera      (s, tx, ty) of the crop; exact for flips and turns, else as ``Window.crop_camera`` says
    iuv              (3, map, map) uint8 over the crop, each pixel the nearest of the region's map
    part_visibility  (24,) of that map
    location, joint, displacement   (3, S, S) float32, mirrored in U and x, and turned
    label, distance, distance_to_singular   -1 and NaN after a flip or turn: prototypes compare bodies as they stand in
                     the camera frame, so those of the changed body are others
    crop_affine      (2, 3) full-image px → px of the crop (``invert_affine`` leads predictions back)
    crop_square      (3,) centre x, y, side: ``Window.turned_square``, NaN where the image's size is not known
    camera_matrix    (2, 3) ``Window.camera_matrix``, NaN without ``focal`` and ``principal``
    covered          (size, size) bool, pixels where a thing was pasted in front; the maps show the whole person

Rendered again from the changed body, the map has the same chart in 99.9 % of the pixels that lie off its outlines and
97 % of all (``tests/shards/test_augmented_row.py``): taking the nearest pixel moves a place by up to half a pixel.

A body is mirrored as if its shape were symmetric, as every published loader does; the packaged body is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SPIN24_FLIP
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import CROP_SIZE
from hmrtk.toolkit.geometry.crop import apply_affine
from hmrtk.toolkit.maps.atlas import Atlas, atlas_for_body
from hmrtk.toolkit.maps.mirror import MirrorTables, mirror_iuv
from hmrtk.toolkit.maps.onepiece import onepiece_for_body
from hmrtk.toolkit.shards.augmentation import MULTI_CROPS, Change
from hmrtk.toolkit.shards.compose import UV_MAPS, part_visibility
from hmrtk.toolkit.shards.crop_window import Pelvis, Window
from hmrtk.toolkit.shards.region_warp import warp_region
from hmrtk.toolkit.shards.rows import NO_LABEL
from hmrtk.toolkit.synthesis.occluder import paste_occluders

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel

MAP_SIZE = 56
"""px of the IUV map over a 224 px crop (DaNet, PyMAF)."""

CROP_COLUMNS = ("image", "keypoints2d", "crop_camera", "crop_affine", "crop_square", "camera_matrix")
"""What ``multi_crops`` gives of every crop."""

_FLIP = list(SPIN24_FLIP)


@dataclass(frozen=True, eq=False)
class CropFormat:
    """What crops look like, and what of the body is needed to keep rows consistent. Picklable.

    Attributes:
        pelvis: of the body that the shards were built with.
        atlas: of their IUV maps.
        uv_symmetric: whether their UV maps may be mirrored by reversing columns.
        tables: mirror tables for an atlas that is not symmetric.
        size: px of the picture.
        map_size: px of the IUV map.
    """

    pelvis: Pelvis
    atlas: Atlas
    uv_symmetric: bool = True
    tables: MirrorTables | None = None
    size: int = CROP_SIZE
    map_size: int = MAP_SIZE

    @classmethod
    def of(cls, body: BodyModel, size: int = CROP_SIZE, map_size: int = MAP_SIZE) -> CropFormat:
        """For shards built with this body, as ``Composer`` builds them."""
        symmetric = onepiece_for_body(body).symmetric
        return cls(Pelvis.of(body.arrays), atlas_for_body(body), symmetric, None, size, map_size)


def apply(row: Mapping[str, Any], change: Change, form: CropFormat) -> dict[str, Any]:
    """The changed row (columns: above).

    Args:
        row: with ``region``, and any other columns; arrays are not changed in place. Missing values are NaN, or 0 for
            integers, as the reader gives them, and stay missing.
        change: what to do.
        form: of the crop.

    Raises:
        InputError: a row without ``region``; a flip of maps whose atlas is not symmetric.
    """
    if "region" not in row:
        raise InputError("augmentation", "needs the column region", "add it to the columns that are read")
    window = Window.of(row, change)
    changed = {**row, **_cameras(row, window, form), **_points(row, window, form), **_body(row, window, form)}
    changed |= _picture(row, window, change, form)
    changed |= _image_maps(row, window, form)
    changed |= _uv_maps(row, window, form)
    changed |= _labels(row, window)
    return changed


def multi_crops(
    row: Mapping[str, Any], form: CropFormat, change: Change | None = None, crops: Sequence[Change] = MULTI_CROPS
) -> dict[str, NDArray[Any]]:
    """The crops of Multi-Crop HMR (§3.2) of one row, all from its region.

    Args:
        row: as for ``apply``.
        form: of each crop.
        change: flips, turns and so on that all crops share (so that all show the same body); things are pasted into
            each crop by the same seed, at the same place of the crop.
        crops: their shifts and scales, in the frame of the changed picture.

    Returns:
        ``CROP_COLUMNS`` of the row, stacked: (M, …). The largest of ``MULTI_CROPS`` reaches 0.85 b and so stays inside
        the region; on top of a ``change`` they may leave it, and are black there.

    Raises:
        InputError: as ``apply``.
    """
    shared = change or Change()
    kept = {name: value for name, value in row.items() if name not in ("iuv", "part_visibility", *UV_MAPS)}
    parts = [apply(kept, _combined(shared, crop), form) for crop in crops]
    return {name: np.stack([part[name] for part in parts]) for name in CROP_COLUMNS if name in parts[0]}


def _combined(shared: Change, crop: Change) -> Change:
    """``crop``'s shift and scale on top of a shared change."""
    back = np.array(crop.shift) @ Window((0, 0, 1), (0, 0, 1), shared.flip, shared.turn).linear
    shift = (shared.shift[0] + shared.scale * float(back[0]), shared.shift[1] + shared.scale * float(back[1]))
    return replace(shared, shift=shift, scale=shared.scale * crop.scale)


def _cameras(row: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    unknown = np.full(2, np.nan)
    focal, principal = (np.asarray(row.get(name, unknown), np.float64) for name in ("focal", "principal"))
    size = np.asarray(row.get("image_size", (0, 0)), np.float64)
    centre = principal if np.isfinite(principal).all() else np.where(size > 0, size, np.nan)[::-1] / 2
    cameras = {
        "crop_affine": window.affine(form.size).astype(np.float32),
        "crop_square": window.turned_square(centre).astype(np.float32),
        "camera_matrix": window.camera_matrix(focal, principal, form.size).astype(np.float32),
    }
    if "crop_camera" in row:
        cameras["crop_camera"] = window.crop_camera(row["crop_camera"], _pelvis(row, form))
    return cameras


def _pelvis(row: Mapping[str, Any], form: CropFormat) -> NDArray[np.float64]:
    """(3,) metres, the pelvis of the row's body at rest; without a body, that of the joints which the crop camera was
    solved for is not known, and the mean body's stands in for it.
    """
    betas = np.asarray(row.get("betas", np.nan))
    return form.pelvis(betas) if np.isfinite(betas).all() else form.pelvis.template


def _points(row: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    points: dict[str, Any] = {}
    if "keypoints2d" in row:
        keypoints = row["keypoints2d"][_FLIP] if window.flip else row["keypoints2d"].copy()
        keypoints[:, :2] = apply_affine(keypoints[:, :2].astype(np.float64), window.affine(form.size))
        points["keypoints2d"] = keypoints
    if "joints3d" in row:
        points["joints3d"] = window.points(row["joints3d"][_FLIP] if window.flip else row["joints3d"])
    return points


def _body(row: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if "global_orient" in row and "body_pose" in row:
        body["global_orient"], body["body_pose"] = window.pose(row["global_orient"], row["body_pose"])
    if "transl" in row:
        body["transl"] = window.transl(row["transl"], _pelvis(row, form))
    return body


def _picture(row: Mapping[str, Any], window: Window, change: Change, form: CropFormat) -> dict[str, Any]:
    if "image" not in row:
        return {}
    image = warp_region(row["image"], window.region_affine(row["image"].shape[0], form.size), form.size)
    if change.gains != (1.0, 1.0, 1.0):
        _multiply(image.reshape(form.size, -1), np.tile(np.array(change.gains, np.float32), form.size))
    covered = np.zeros((form.size, form.size), bool)
    if change.occluder_seed is not None:
        rng = np.random.default_rng(change.occluder_seed)
        image, covered, _ = paste_occluders(image, rng, _person_box(row, window, form.size), change.occluder_count)
    return {"image": image, "covered": covered}


@njit(cache=True, nogil=True)
def _multiply(rows, factor):  # type: ignore[no-untyped-def]
    """uint8 (H, W·3) times float32 (W·3), rounded and clipped, in place; a look-up table takes eight times as long."""
    for i in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            rows[i, k] = np.uint8(min(rows[i, k] * factor[k] + np.float32(0.5), np.float32(255)))


def _person_box(row: Mapping[str, Any], window: Window, size: int) -> NDArray[np.float64] | None:
    """(4,) px of the crop: the box round the turned corners of the person's box, cut off at the crop's edges."""
    box = np.asarray(row.get("bbox_xyxy", np.nan), np.float64)
    if box.shape != (4,) or not np.isfinite(box).all():
        return None
    corners = apply_affine(box[[0, 1, 2, 1, 0, 3, 2, 3]].reshape(4, 2), window.affine(size))
    found = np.clip(np.concatenate([corners.min(0), corners.max(0)]), 0, size)
    return found if (found[2:] > found[:2]).all() else None


def _image_maps(row: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    """The map is warped without the crop's own mirror image, then mirrored as a whole: both steps are exact."""
    if "iuv" not in row:
        return {}
    iuv, size = np.ascontiguousarray(row["iuv"]), form.map_size
    affine = window.region_affine(iuv.shape[-1], size)
    if window.flip:
        affine[0] = -affine[0]
        affine[0, 2] += size
    crop = np.empty((3, size, size), np.uint8)
    _sample_nearest(iuv, affine, crop)
    if window.flip:
        crop = mirror_iuv(crop, form.atlas, form.tables)
    maps: dict[str, Any] = {"iuv": crop}
    if "part_visibility" in row:
        known = np.isfinite(row["part_visibility"]).all()
        maps["part_visibility"] = part_visibility(crop[None])[0] if known else row["part_visibility"]
    return maps


@njit(cache=True, nogil=True)
def _sample_nearest(iuv, affine, crop):  # type: ignore[no-untyped-def]
    """crop (3, s, s) from iuv (3, S, S): the pixel that ``affine`` (2, 3), S → s, brings to its centre; else zeros."""
    height, width = iuv.shape[1], iuv.shape[2]
    a, b, c, d = affine[0, 0], affine[0, 1], affine[1, 0], affine[1, 1]
    whole = a * d - b * c
    for i in range(crop.shape[1]):
        for j in range(crop.shape[2]):
            right, down = j + 0.5 - affine[0, 2], i + 0.5 - affine[1, 2]
            x, y = (d * right - b * down) / whole, (a * down - c * right) / whole
            inside = 0.0 <= x < width and 0.0 <= y < height
            for k in range(3):
                crop[k, i, j] = iuv[k, int(y), int(x)] if inside else 0


def _uv_maps(row: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    """(3, S, S) camera-frame vectors, root-relative: their place on the surface is mirrored, and they are turned."""
    found = {name: row[name] for name in UV_MAPS if name in row}
    if found and window.flip and not form.uv_symmetric:
        raise InputError("UV maps", "are of an atlas that is not left-right symmetric, so they cannot be mirrored")
    return {name: _turned_map(value, window) for name, value in found.items()}


def _turned_map(value: NDArray[Any], window: Window) -> NDArray[np.float32]:
    turned = value[:, :, ::-1].astype(np.float32) if window.flip else value.astype(np.float32)
    if window.turn:
        plane = window.linear.astype(np.float32) @ turned[:2].reshape(2, -1)
        turned[:2] = plane.reshape(2, *turned.shape[1:])
    elif window.flip:
        np.negative(turned[0], out=turned[0])
    return turned


def _labels(row: Mapping[str, Any], window: Window) -> dict[str, Any]:
    if not window.flip and not window.turn:
        return {}
    unknown = {"label": NO_LABEL, "distance": np.nan, "distance_to_singular": np.nan}
    return {name: row[name].dtype.type(value) for name, value in unknown.items() if name in row}
