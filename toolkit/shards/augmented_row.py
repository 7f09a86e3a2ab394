"""One row of a shard through a ``Change``: the network's crop, and everything that belongs to it, consistently.

In: a decoded row (``rows.RowDecoder``) and a ``Change``. Out: the row with the same columns for the crop. The readers
call it through a ``Cropper``; the parts that fill arrays in place serve whole batches there.

Every column of the row that augmentation touches is replaced; the others stay. In the new row:

    image            (size, size, 3) uint8, one bilinear warp from the region; black outside it
    keypoints2d      (24, 3) px of the crop (not of the full image) and confidence
    joints3d         (24, 4) camera frame, mirrored and turned about the optical axis
    global_orient, body_pose, transl   the mirrored and turned body; betas stay
    crop_camera      (s, tx, ty) of the crop; exact for flips and turns, else as ``Window.crop_camera`` says
    iuv              (3, map, map) uint8 over the crop, each pixel the nearest of the region's map
    part_visibility  (24,) of that map
    location, joint, displacement   (3, S, S) float32, mirrored in U and x, and turned
    label, distance  -1 and NaN after a flip or turn: prototypes compare bodies as they stand in the camera frame, so
                     those of the changed body are others; ``Cropper`` finds them when it is given the prototypes.
                     distance_to_singular stays that of the record
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
from hmrtk.toolkit.maps.charts import MIRROR_CHART
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
_MIRROR = np.zeros(256, np.uint8)
_MIRROR[: len(MIRROR_CHART)] = MIRROR_CHART


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
    changed = {**row, **narrow_columns(row, window, form)}
    changed |= _picture(row, window, change, form)
    changed |= _image_maps(row, window, form)
    changed |= _uv_maps(row, window, form)
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
    back = np.array(crop.shift) @ Window.of({"region": np.ones(3)}, shared).linear
    shift = (shared.shift[0] + shared.scale * float(back[0]), shared.shift[1] + shared.scale * float(back[1]))
    return replace(shared, shift=shift, scale=shared.scale * crop.scale)


def narrow_columns(rows: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    """What changes of a row beside its picture and maps: cameras, points, the body, labels.

    Args:
        rows: arrays of one row, or of the rows of a batch, (B, …).
        window: of the row, or one per row.
    """
    return {
        **_cameras(rows, window, form),
        **_points(rows, window, form),
        **_body(rows, window, form),
        **_labels(rows, window),
    }


def _cameras(rows: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    unknown = np.full((*window.flip.shape, 2), np.nan)
    focal, principal = (np.asarray(rows.get(name, unknown), np.float64) for name in ("focal", "principal"))
    size = np.asarray(rows.get("image_size", np.zeros_like(unknown)), np.float64)
    middle = np.where(size > 0, size, np.nan)[..., ::-1] / 2
    centre = np.where(np.isfinite(principal).all(axis=-1, keepdims=True), principal, middle)
    cameras = {
        "crop_affine": window.affine(form.size).astype(np.float32),
        "crop_square": window.turned_square(centre).astype(np.float32),
        "camera_matrix": window.camera_matrix(focal, principal, form.size).astype(np.float32),
    }
    if "crop_camera" in rows:
        cameras["crop_camera"] = window.crop_camera(rows["crop_camera"], _pelvis(rows, form))
    return cameras


def _pelvis(rows: Mapping[str, Any], form: CropFormat) -> NDArray[np.float64]:
    """(..., 3) metres, the pelvis of the row's body at rest; without a body, that of the joints which the crop camera
    was solved for is not known, and the mean body's stands in for it.
    """
    if "betas" not in rows:
        return form.pelvis.template
    known = np.isfinite(rows["betas"]).all(axis=-1, keepdims=True)
    return np.where(known, form.pelvis(rows["betas"]), form.pelvis.template)


def _points(rows: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    points: dict[str, Any] = {
        name: np.where(window.flip[..., None, None], rows[name][..., _FLIP, :], rows[name])
        for name in ("keypoints2d", "joints3d")
        if name in rows
    }
    if "keypoints2d" in points:
        places = points["keypoints2d"][..., :2]
        places[...] = apply_affine(places.astype(np.float64), window.affine(form.size))
    if "joints3d" in points:
        points["joints3d"] = window.points(points["joints3d"])
    return points


def _body(rows: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if "global_orient" in rows and "body_pose" in rows:
        body["global_orient"], body["body_pose"] = window.pose(rows["global_orient"], rows["body_pose"])
    if "transl" in rows:
        body["transl"] = window.transl(rows["transl"], _pelvis(rows, form))
    return body


def _labels(rows: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """Mirrored and turned bodies have another nearest prototype; ``distance_to_singular`` stays that of the record."""
    unknown = {"label": NO_LABEL, "distance": np.nan}
    return {
        name: np.where(window.changed, value, rows[name]).astype(np.asarray(rows[name]).dtype)[()]
        for name, value in unknown.items()
        if name in rows
    }


def _picture(row: Mapping[str, Any], window: Window, change: Change, form: CropFormat) -> dict[str, Any]:
    if "image" not in row:
        return {}
    image = np.empty((form.size, form.size, 3), np.uint8)
    covered = np.zeros((form.size, form.size), bool)
    affine = window.region_affine(row["image"].shape[0], form.size)
    fill_picture(row["image"], affine, np.asarray(change.gains), image)
    if change.occluder_seed is not None:
        box = person_box(row.get("bbox_xyxy"), window.affine(form.size), form.size)
        fill_occluders(image, covered, change.occluder_seed, change.occluder_count, box)
    return {"image": image, "covered": covered}


def fill_picture(
    region: NDArray[np.uint8], affine: NDArray[np.float64], gains: NDArray[np.float64], out: NDArray[np.uint8]
) -> None:
    """The crop (size, size, 3) of a region's picture, its channels multiplied.

    Args:
        affine: (2, 3) ``Window.region_affine``.
        gains: (3,) as in ``Change``.
        out: filled.
    """
    warp_region(region, affine, len(out), out)
    if (gains != 1).any():
        _multiply(out, gains.astype(np.float32))


def fill_occluders(
    image: NDArray[np.uint8],
    covered: NDArray[np.bool_],
    seed: int,
    count: tuple[int, int],
    box: NDArray[np.float64] | None,
) -> None:
    """Paste things into a crop, in place, and mark the pixels that they cover."""
    image[...], covered[...], _ = paste_occluders(image, np.random.default_rng(seed), box, count)


@njit(cache=True, nogil=True)
def _multiply(image, gains):  # type: ignore[no-untyped-def]
    """uint8 (H, W, 3) times float32 (3,), rounded and clipped, in place; a look-up table takes eight times as long."""
    width = 3 * image.shape[1]
    factor = np.empty(width, np.float32)
    for k in range(width):
        factor[k] = gains[k % 3]
    rows = image.reshape(image.shape[0], width)
    for i in range(rows.shape[0]):
        for k in range(width):
            rows[i, k] = np.uint8(min(rows[i, k] * factor[k] + np.float32(0.5), np.float32(255)))


def person_box(box: Any, affine: NDArray[np.float64], size: int) -> NDArray[np.float64] | None:
    """(4,) px of the crop: the box round the turned corners of the person's box, cut off at the crop's edges.

    Args:
        box: (4,) px of the full image, or None.
        affine: (2, 3) full-image px → px of the crop.
        size: px of the crop.
    """
    box = np.asarray(np.nan if box is None else box, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all():
        return None
    corners = apply_affine(box[[0, 1, 2, 1, 0, 3, 2, 3]].reshape(4, 2), affine)
    found = np.clip(np.concatenate([corners.min(0), corners.max(0)]), 0, size)
    return found if (found[2:] > found[:2]).all() else None


def _image_maps(row: Mapping[str, Any], window: Window, form: CropFormat) -> dict[str, Any]:
    if "iuv" not in row:
        return {}
    crop = np.empty((3, form.map_size, form.map_size), np.uint8)
    affine = window.region_affine(row["iuv"].shape[-1], form.map_size)
    fill_iuv(np.ascontiguousarray(row["iuv"]), affine, bool(window.flip), form, crop)
    maps: dict[str, Any] = {"iuv": crop}
    if "part_visibility" in row:
        known = np.isfinite(row["part_visibility"]).all()
        maps["part_visibility"] = part_visibility(crop[None])[0] if known else row["part_visibility"]
    return maps


def fill_iuv(
    iuv: NDArray[np.uint8], affine: NDArray[np.float64], flip: bool, form: CropFormat, out: NDArray[np.uint8]
) -> None:
    """The crop (3, s, s) of a region's map (3, S, S): the nearest pixel of each.

    A mirrored crop is taken upright first, then mirrored as a whole: both steps are exact.

    Raises:
        InputError: a flip with an atlas that is not symmetric, and without tables.
    """
    size = out.shape[-1]
    if not flip:
        _sample_nearest(iuv, affine, out)
        return
    upright = affine * [[-1], [1]]
    upright[0, 2] += size
    _sample_nearest(iuv, upright, out)
    if form.tables is None and form.atlas.symmetric:
        _mirror_in_place(out, _MIRROR)
    else:
        out[...] = mirror_iuv(out, form.atlas, form.tables)


@njit(cache=True, nogil=True)
def _mirror_in_place(iuv, mirror):  # type: ignore[no-untyped-def]
    """``mirror_iuv`` of a symmetric atlas, of one map (3, s, s)."""
    size = iuv.shape[2]
    for i in range(iuv.shape[1]):
        for j in range((size + 1) // 2):
            for k in range(3):
                iuv[k, i, j], iuv[k, i, size - 1 - j] = iuv[k, i, size - 1 - j], iuv[k, i, j]
        for j in range(size):
            iuv[0, i, j] = mirror[iuv[0, i, j]]
            iuv[1, i, j] = 255 - iuv[1, i, j] if iuv[0, i, j] else 0


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
    found = {name: np.array(row[name], np.float32, order="C") for name in UV_MAPS if name in row}
    for value in found.values():
        turn_uv_map(value, bool(window.flip), window.linear, form)
    return found


def turn_uv_map(values: NDArray[np.float32], flip: bool, linear: NDArray[np.float64], form: CropFormat) -> None:
    """Mirror and turn a UV map (3, S, S) in place: camera-frame vectors, root-relative, whose place on the surface is
    mirrored.

    Args:
        linear: (2, 2) ``Window.linear``.

    Raises:
        InputError: a flip of maps that are not symmetric.
    """
    if flip and not form.uv_symmetric:
        raise InputError("UV maps", "are of an atlas that is not left-right symmetric, so they cannot be mirrored")
    if flip or linear[0, 0] != 1:
        _turn_in_place(values, flip, linear.astype(np.float32))


@njit(cache=True, nogil=True)
def _turn_in_place(values, flip, linear):  # type: ignore[no-untyped-def]
    """Columns reversed where flipped; x and y through ``linear`` (2, 2)."""
    a, b, c, d = linear[0, 0], linear[0, 1], linear[1, 0], linear[1, 1]
    size = values.shape[2]
    for i in range(values.shape[1]):
        if flip:
            for k in range(3):
                for j in range(size // 2):
                    values[k, i, j], values[k, i, size - 1 - j] = values[k, i, size - 1 - j], values[k, i, j]
        for j in range(size):
            x, y = values[0, i, j], values[1, i, j]
            values[0, i, j], values[1, i, j] = a * x + b * y, c * x + d * y
