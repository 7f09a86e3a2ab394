"""Rows of shards as pictures: all that a row holds, drawn from the shard alone, to be looked at.

In: a folder of shards, row numbers, and a body. Out: per row a panel of eight cells: the stored picture, its keypoints,
the body posed again and laid over it, the IUV map, the maps of UV space, and how much of each part is seen. With a
``Change``, the row as the network gets it. Called by ``shards show``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.geometry.camera import CROP_SIZE
from hmrtk.toolkit.geometry.crop import apply_affine, compose_affine, invert_affine
from hmrtk.toolkit.maps.preview import location_to_rgb
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.augmentation import Augmentation, Change
from hmrtk.toolkit.shards.augmented_row import CropFormat, apply
from hmrtk.toolkit.shards.compose import UV_MAPS
from hmrtk.toolkit.shards.crop_window import Window
from hmrtk.toolkit.shards.iuv_sheet import overlaid
from hmrtk.toolkit.shards.panels import OFFSET_REACH_M, SURFACE_REACH_M, Cell, cells_sheet
from hmrtk.toolkit.shards.row_overlays import blank, drawn_keypoints, drawn_mesh, framed, part_bars, with_legend
from hmrtk.toolkit.shards.shard_map import ShardMap
from hmrtk.toolkit.synthesis.sheet import contact_sheet, stacked_sheets

LARGE_PX, SMALL_PX = 400, 224
"""Side of a cell when one row is drawn, and when several are."""

CLOSER = 1.5
"""Overlays of a stored row show the middle of its region so much larger: the crop box and a fifth around it."""

Row = dict[str, Any]


@dataclass(frozen=True)
class RowView:
    """A row, and how its picture is placed.

    Attributes:
        row: as the reader gives it, with NumPy arrays; the picture (H, W, 3) uint8.
        affine: (2, 3) px in which ``keypoints2d`` is given → shares of the picture's sides.
        camera: of the row's body, or of its ``joints3d``, → the same shares; None where there is none.
        zoom: how much larger overlays show the middle of the picture.
        changed: what augmentation did, in words.
    """

    row: Row
    affine: NDArray[np.float64]
    camera: Projection | None
    zoom: float = 1.0
    changed: str = ""


class RowPanels:
    """Draws rows of one split (or of all).

    Args:
        root, split: as for ``ShardMap``.
        body: the body the shards were built with.

    Raises:
        InputError: no finished shards. UnknownNameError: no such split. BodyMismatchError: another body.
    """

    def __init__(self, root: str | Place, body: BodyModel, split: str | None = None) -> None:
        self.rows = ShardMap(root, split)
        self.body = body
        if self.rows.index.body != body.fingerprint:
            raise BodyMismatchError(self.rows.index.root, body.fingerprint, self.rows.index.body)

    def spread(self, count: int) -> list[int]:
        """Numbers of ``count`` rows spread evenly from the first to the last; all when there are fewer."""
        last = len(self.rows) - 1
        return sorted({round(place) for place in np.linspace(0, last, min(count, last + 1))})

    def number(self, sample_id: str) -> int:
        """Row number of a sample. Reads the column of ids up to there.

        Raises:
            InputError: it is not there.
        """
        groups, first = self.rows.groups, 0
        for group, size in enumerate(groups.sizes):
            names = groups.read(group, ["sample_id"])["sample_id"].to_pylist()
            if sample_id in names:
                return first + names.index(sample_id)
            first += size
        place = self.rows.index.root
        raise InputError(place, f"has no sample_id {sample_id!r}", f"ids look like {names[0]!r}")

    def view(self, number: int, augmentation: Augmentation | None = None, seed: int = 0) -> RowView:
        """A row by its number; changed as ``augmentation`` draws it by the seed and the row's number.

        Raises:
            InputError: no such row, or it is damaged.
        """
        if not 0 <= number < len(self.rows):
            raise InputError(self.rows.index.root, f"has no row {number}: expected 0 … {len(self.rows) - 1}")
        tensors = self.rows[number]
        row: Row = {name: value if isinstance(value, str) else value.numpy() for name, value in tensors.items()}
        row["image"] = np.ascontiguousarray(row["image"].transpose(1, 2, 0))
        if augmentation is None:
            return stored_view(row)
        change = augmentation.draw(np.random.default_rng([seed, number]))
        return augmented_view(row, change, CropFormat.of(self.body))

    def sheet(
        self, numbers: Sequence[int], augmentation: Augmentation | None = None, seed: int = 0
    ) -> NDArray[np.uint8]:
        """Rows below each other: one in two lines of large cells, several in one line of small cells each.

        Args:
            numbers: of the rows.
            augmentation, seed: as for ``view``.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            InputError: no rows, or as ``view``.
        """
        columns, px = (4, LARGE_PX) if len(numbers) == 1 else (8, SMALL_PX)
        panels = []
        for number in numbers:
            view = self.view(number, augmentation, seed)
            cells = cells_sheet(self.cells(view, px), columns, px)
            panels.append((f"row {number}   {view.row['sample_id']}", contact_sheet([cells], 1, [facts(view)], gap=0)))
        return stacked_sheets(panels)

    def cells(self, view: RowView, px: int) -> list[Cell]:
        """The eight cells, each ``px`` wide or to be scaled to that, with their captions."""
        row = view.row
        source = f" ({row['image_source']})" if row["image_source"] else ""
        plain = _resized(row["image"], px) if row["has_image"] else blank(px, "no picture")
        if row["has_image"] and view.zoom > 1:
            plain, source = framed(plain, 1 / view.zoom), source + ", its region"
        seen = np.isfinite(row["part_visibility"]).all()
        return [
            (plain, f"picture{source}"),
            self._keypoints_cell(view, px),
            self._body_cell(view, px),
            (_closer(view, px, lambda p: overlaid(p, row["iuv"])) if seen else blank(px, "no IUV map"), "IUV map"),
            *(_map_cell(row[name], name, px) for name in UV_MAPS),
            (part_bars(row["part_visibility"], px) if seen else blank(px, "no IUV map"), "parts seen, share of pixels"),
        ]

    def _keypoints_cell(self, view: RowView, px: int) -> Cell:
        keypoints = view.row["keypoints2d"].astype(np.float64)
        keypoints[:, :2] = apply_affine(keypoints[:, :2], view.affine)
        known = int((np.nan_to_num(keypoints[:, 2]) > 0).sum())
        caption = f"keypoints2d: {known} of {len(keypoints)}"
        if not known:
            return blank(px, "no keypoints2d"), caption
        drawn = _closer(view, px, lambda p: drawn_keypoints(p, keypoints * [len(p), len(p), 1]))
        return with_legend(drawn), caption

    def _body_cell(self, view: RowView, px: int) -> Cell:
        """The body over the picture; without one, the 3D joints, seen by the same camera."""
        row, seen = view.row, view.camera
        has_body = _has(row, *BODY_COLUMNS)
        if seen is None:
            return blank(px, "no camera" if has_body else "no body"), "body"

        def drawn(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
            camera = Projection(seen.matrix * len(picture), seen.translation)
            if has_body:
                return drawn_mesh(picture, self._posed(view), camera, self.body)
            return drawn_keypoints(picture, _joints_px(row, camera))

        return _closer(view, px, drawn), f"{'body' if has_body else 'joints3d'}, {_camera_name(row)} camera"

    def _posed(self, view: RowView) -> Body:
        row = view.row
        transl = row["transl"][None] if _full_camera(row) else None
        return self.body.pose(
            BodyParameters.of(row["global_orient"][None], row["body_pose"][None], row["betas"][None], transl)
        )


def _resized(picture: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    way = cv2.INTER_AREA if len(picture) > px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (px, px), interpolation=way), np.uint8)


def _closer(view: RowView, px: int, drawn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The middle of the row's picture, enlarged by the view's zoom, with something drawn on it."""
    whole = round(px * view.zoom)
    first = (whole - px) // 2
    return drawn(_resized(view.row["image"], whole))[first : first + px, first : first + px]


def _joints_px(row: Row, camera: Projection) -> NDArray[np.float64]:
    """(24, 3) px and confidence of the row's 3D joints; 0 behind the camera."""
    joints = row["joints3d"].astype(np.float64)
    places = project(joints[None, :, :3], camera)[0]
    return np.column_stack([places[:, :2], np.where(places[:, 2] > 0, joints[:, 3], 0)])


def _has(row: Row, *names: str) -> bool:
    return all(bool(np.isfinite(row[name]).all()) for name in names)


def _full_camera(row: Row) -> bool:
    """Whether the image's own camera sees the row's body, or without one its joints; else the crop camera does."""
    if not _has(row, "focal", "principal"):
        return False
    if _has(row, *BODY_COLUMNS):
        return _has(row, "transl")
    used = row["joints3d"][row["joints3d"][:, 3] > 0]
    return bool(len(used)) and bool((used[:, 2] > 0.1).all())  # not root-relative


def _camera_name(row: Row) -> str:
    return "image's" if _full_camera(row) else "crop"


def stored_view(row: Row) -> RowView:
    """The row as it lies in the shard: its region."""
    px = row["image"].shape[0]
    affine = row["region_affine"].astype(np.float64) / px
    if _full_camera(row):
        focal, principal = (row[name].astype(np.float64)[None] for name in ("focal", "principal"))
        return RowView(row, affine, Projection.perspective(focal, principal, affine), CLOSER)
    if not _has(row, "crop_camera"):
        return RowView(row, affine, None, CLOSER)
    crop = Projection.crop(row["crop_camera"][None])
    window = compose_affine(affine, invert_affine(Window.of(row, Change()).affine(CROP_SIZE)))
    camera = Projection(compose_affine(window[None], crop.matrix), crop.translation)
    return RowView(row, affine, camera, CLOSER)


def augmented_view(row: Row, change: Change, form: CropFormat) -> RowView:
    """The row as the network gets it: its crop, where keypoints are in px of the crop."""
    full, changed = _full_camera(row), apply(row, change, form)
    affine = np.eye(3)[:2] / form.size
    camera = None
    if full:
        camera = Projection(changed["camera_matrix"].astype(np.float64)[None] / form.size, np.zeros((1, 3)))
    elif _has(row, "crop_camera"):
        camera = Projection.crop(changed["crop_camera"][None], 1)
    return RowView(changed, affine, camera, changed=described(change))


def described(change: Change) -> str:
    """A change in words."""
    said = [
        "flipped" if change.flip else "",
        f"turned {np.degrees(change.turn):+.0f}°" if change.turn else "",
        f"scale {change.scale:.2f}" if change.scale != 1 else "",
        f"moved by ({change.shift[0]:+.2f}, {change.shift[1]:+.2f}) boxes" if any(change.shift) else "",
        "things pasted in front" if change.occluder_seed is not None else "",
        "upper body" if change.upper_body else "",
    ]
    return ", ".join(part for part in said if part) or "nothing changed"


def facts(view: RowView) -> str:
    """What the row says of itself, in one line, and what augmentation did in another."""
    row = view.row
    said = [f"{row['dataset']}/{row['split']}", row["action"], row["gender"]]
    if row["label"] >= 0:
        said.append(f"label {int(row['label'])}")
    for name, words in (("distance", "from its prototype"), ("distance_to_singular", "from the singular one")):
        if np.isfinite(row[name]):
            said.append(f"{1000 * float(row[name]):.0f} mm {words}")
    body = f"body: {row['body_source'] or 'source not said'}" if _has(row, *BODY_COLUMNS) else "no body"
    said += [body, f"image: {row['image_source']}" if row["image_source"] else "no picture"]
    line = " · ".join(part for part in said if part)
    return f"{line}\nafter augmentation: {view.changed}" if view.changed else line


def _map_cell(values: NDArray[np.floating], name: str, px: int) -> Cell:
    reach = OFFSET_REACH_M if name == "displacement" else SURFACE_REACH_M
    caption = f"{name}: x, y, z = red, green, blue, ±{reach:g} m" if px == LARGE_PX else f"{name}, ±{reach:g} m"
    if not np.isfinite(values).all():
        return blank(px, f"no {name} map"), caption
    return location_to_rgb(values, (values != 0).any(axis=0), reach), caption
