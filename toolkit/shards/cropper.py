"""``Cropper``: what the readers do to every row that a network sees: its crop, changed at random or left as it is.

In: rows of a shard, one at a time or a batch. Out: the same columns for the network's crop, as ``augmented_row`` lists
them. Given to ``ShardDataset``, ``ShardMap`` (``cropper=…``), and through them used by ``ShardMixture`` and
``ShardBatches``::

    body = load_body()
    training = ShardDataset(root, "train", COLUMNS, cropper=Cropper(body, "spin", seed=1, prototypes=prototypes))
    evaluation = ShardDataset(root, "test", COLUMNS, shuffle=False, cropper=Cropper(body))  # the plain crop of each row
    for batch in ShardBatches(training, 64): ...

A row's change follows from the seed, the epoch, the data set's place in a mixture and the row's number in its split:
not from threads, workers, ranks, batch size, or what came before. In a mixture, a row that comes twice in an epoch is
changed differently.

Labels. Prototypes compare bodies as they stand in the camera frame, so a mirrored or turned body has another label.
With ``prototypes``, ``label`` and ``distance`` are those of the changed body, exactly (``NearestPrototype``); without,
they are -1 and NaN there. ``distance_to_singular`` places the *record* on the tail axis (T-x%) and stays, unless
``changed_tail`` asks for the changed body's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from threading import local
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError
from hmrtk.toolkit.geometry.camera import CROP_SIZE
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.shards.augmentation import DRAWS, Augmentation, Change, Changes, augmentation, random_numbers
from hmrtk.toolkit.shards.augmented_row import (
    MAP_SIZE,
    CropFormat,
    apply,
    fill_iuv,
    fill_occluders,
    fill_picture,
    narrow_columns,
    person_box,
    turn_uv_map,
)
from hmrtk.toolkit.shards.codec import decode_image_into
from hmrtk.toolkit.shards.compose import UV_MAPS, part_visibility
from hmrtk.toolkit.shards.crop_window import Window
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.nearest import NearestPrototype
from hmrtk.toolkit.shards.rows import NO_LABEL, RowDecoder
from hmrtk.toolkit.shards.schema import array_shape
from hmrtk.toolkit.shards.tensors import widen
from hmrtk.toolkit.shards.windows import RowKey, Slot

_CHANGE = 4
"""First word of the seeds, beside those of ``order`` and ``mixture``."""

COLUMNS = (
    "sample_id",
    "dataset",
    "image",
    "keypoints2d",
    "joints3d",
    "global_orient",
    "body_pose",
    "betas",
    "transl",
    "crop_camera",
    "crop_camera_valid",
    "label",
    "distance_to_singular",
)
"""What every network reads; add ``iuv``, ``location``, ``joint``, ``displacement``, … to taste."""

_BODY = ("global_orient", "body_pose", "betas")
_CAMERA = ("region", "image_size", "focal", "principal")
_NEEDS = {"transl": _BODY, "crop_camera": ("betas",), "global_orient": _BODY[:2], "body_pose": _BODY[:2]}


@dataclass
class CropBatch:
    """A batch before its pictures and maps are made.

    Attributes:
        columns: the narrow columns of the changed rows, (B, …) or lists of text.
        changes: one per row.
        window: of the rows.
        affine: (B, 2, 3) full-image px → px of the crop.
    """

    columns: dict[str, Any]
    changes: Changes
    window: Window
    affine: NDArray[np.float64]
    _affines: dict[tuple[int, int], NDArray[np.float64]] = field(default_factory=dict)

    def region_affine(self, region_px: int, size: int) -> NDArray[np.float64]:
        """(B, 2, 3) ``Window.region_affine``, made once."""
        if (region_px, size) not in self._affines:
            self._affines[region_px, size] = self.window.region_affine(region_px, size)
        return self._affines[region_px, size]


class Cropper:
    """Makes crops of rows. Picklable. Keeps OpenCV of this process to one thread (``_keep_opencv_serial``).

    Args:
        body: the one that the shards were built with.
        augmentation: how rows are changed; by name: ``"none"`` (the plain crop), ``"spin"``, ``"pymaf"``, ``"decomr"``,
            ``"cliff"``, ``"pmnet"``, ``"best_of_both"``.
        seed: of the changes.
        prototypes: labels the changed bodies with this set, whether or not the shards have labels.
        changed_tail: with ``prototypes``: ``distance_to_singular`` of the changed body instead of the record's.
        normalised: ``keypoints2d`` from -1 to 1 over the crop instead of px (SPIN's 2·x/224 - 1).
        size, map_size: px of the picture and of the IUV map.

    Raises:
        UnknownNameError: an augmentation by another name.
        BodyMismatchError: the prototypes are of another body.
    """

    def __init__(
        self,
        body: BodyModel,
        augmentation: Augmentation | str = "none",
        *,
        seed: int = 0,
        prototypes: PrototypeSet | None = None,
        changed_tail: bool = False,
        normalised: bool = False,
        size: int = CROP_SIZE,
        map_size: int = MAP_SIZE,
    ) -> None:
        _keep_opencv_serial()
        self.augmentation = _named(augmentation)
        self.form = CropFormat.of(body, size, map_size)
        self.seed, self.normalised, self.changed_tail = seed, normalised, changed_tail
        self.nearest = None if prototypes is None else NearestPrototype(prototypes, body)
        self.body = body.fingerprint

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _keep_opencv_serial()

    def columns(self, wanted: Sequence[str]) -> list[str]:
        """The columns to read for those that are wanted: they and what they follow from."""
        read = [*wanted, *_CAMERA]
        for name in wanted:
            read += _NEEDS.get(name, ())
        if self.augmentation.upper_body:
            read.append("keypoints2d")
        if self.augmentation.occlusion:
            read.append("bbox_xyxy")
        if self.nearest is not None and "label" in wanted:
            read += _BODY
        return list(dict.fromkeys(read))

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its results, as plain JSON values; tokens compare it."""
        plain = {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self.augmentation).items()}
        prototypes = None if self.nearest is None else self.nearest.prototypes.fingerprint
        return {
            "augmentation": plain,
            "seed": self.seed,
            "prototypes": prototypes,
            "options": [self.changed_tail, self.normalised, self.form.size, self.form.map_size],
        }

    def change(self, key: RowKey) -> Change:
        """The change of a row."""
        return self.changes([key]).row(0)

    def changes(self, keys: Sequence[RowKey]) -> Changes:
        """Those of several rows."""
        words = np.array([(_CHANGE, self.seed, *key) for key in keys], np.int64)
        return self.augmentation.changes(random_numbers(words, DRAWS))

    def row(self, row: Mapping[str, Any], key: RowKey, labelled_by: str | None = None) -> dict[str, Any]:
        """The changed row (``augmented_row.apply``) with its label, and ``row_number``.

        Args:
            labelled_by: fingerprint of the prototypes of the row's label.
        """
        change = self.change(key)
        new = apply(row, change, self.form)
        batch = {name: np.asarray(new[name])[None] for name in (*_BODY, *_LABELS) if name in new}
        self._label(batch, np.atleast_1d(change.flip or change.turn != 0), [labelled_by])
        new |= {name: batch[name][0] for name in _LABELS if name in batch}
        self._normalise(new)
        return new | {"row_number": np.int64(key[2])}

    def begin(self, rows: dict[str, Any], keys: Sequence[RowKey]) -> CropBatch:
        """The narrow columns of the changed rows of a batch, all but the labels.

        Args:
            rows: narrow columns, (B, …) arrays or lists of text.
        """
        changes = self.changes(keys)
        window = Window.of(rows, changes)
        columns = {**rows, **narrow_columns(rows, window, self.form)}
        self._normalise(columns)
        columns["row_number"] = np.array([key[2] for key in keys], np.int64)
        return CropBatch(columns, changes, window, window.affine(self.form.size))

    def wide(self, stored: Sequence[str], decoder: RowDecoder) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and type of a row's pictures and maps, of those that are stored."""
        px, maps = self.form.size, self.form.map_size
        shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        for name in stored:
            if name == "image":
                shapes |= {name: ((px, px, 3), np.dtype(np.uint8)), "covered": ((px, px), np.dtype(bool))}
            elif name == "iuv":
                shapes[name] = ((3, maps, maps), np.dtype(np.uint8))
            else:
                shapes[name] = (array_shape(decoder.schema.field(name)) or (), np.dtype(np.float16))
        return shapes

    def fill(self, batch: CropBatch, row: int, slot: Slot, room: Mapping[str, NDArray[Any]]) -> None:
        """Make the pictures and maps of one row of a batch.

        Args:
            room: one row of each of ``wide``.

        Raises:
            InputError: a damaged picture; its row is named.
        """
        window, place = slot
        if "image" in room:
            self._fill_picture(batch, row, slot, room["image"], room["covered"])
        if "iuv" in room:
            out, stored = room["iuv"], window.value("iuv", place)
            affine = batch.region_affine(stored.shape[-1], self.form.map_size)[row]
            fill_iuv(stored, affine, bool(batch.window.flip[row]), self.form, out)
            if "part_visibility" in batch.columns and np.isfinite(batch.columns["part_visibility"][row]).all():
                batch.columns["part_visibility"][row] = part_visibility(out[None])[0]
        for name in UV_MAPS:
            if name in room:
                out = room[name]
                turned = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
                widen(window.value(name, place), turned)
                turn_uv_map(turned, bool(batch.window.flip[row]), batch.window.linear[row], self.form)
                if turned is not out:
                    out[...] = turned

    def _fill_picture(
        self, batch: CropBatch, row: int, slot: Slot, image: NDArray[np.uint8], covered: NDArray[np.bool_]
    ) -> None:
        window, place = slot
        covered[...] = False
        data, changes = window.value("image", place), batch.changes
        region = _region(window.decoder.region_px)
        decode_picture(data, region, window.name(place))
        fill_picture(region, batch.region_affine(len(region), self.form.size)[row], changes.gains[row], image)
        seed = changes.occluder_seed[row]
        if seed is not None:
            stored = batch.columns.get("bbox_xyxy")
            box = person_box(None if stored is None else stored[row], batch.affine[row], self.form.size)
            fill_occluders(image, covered, seed, changes.occluder_count[row], box)

    def label(self, batch: CropBatch, labelled_by: Sequence[str | None]) -> None:
        """Label the changed bodies of a batch, in place; takes a while and no lock.

        Args:
            labelled_by: of each row the fingerprint of its label's prototypes; an unchanged row keeps a label of the
                same set.
        """
        self._label(batch.columns, batch.window.changed, labelled_by)

    def _label(self, columns: dict[str, Any], changed: NDArray[np.bool_], labelled_by: Sequence[str | None]) -> None:
        if self.nearest is None or "label" not in columns:
            return
        own = self.nearest.prototypes.fingerprint
        wanted = changed | np.array([name != own for name in labelled_by]) | (columns["label"] == NO_LABEL)
        bodies = [np.asarray(columns[name], np.float32) for name in _BODY]
        there = [np.isfinite(values).reshape(len(values), -1).all(axis=1) for values in bodies]
        rows = np.flatnonzero(np.logical_and.reduce([wanted, *there]))
        if not len(rows):
            return
        found = self.nearest(BodyParameters.of(*(values[rows] for values in bodies)), self.changed_tail)
        for name in _LABELS if self.changed_tail else _LABELS[:2]:
            if name in columns:
                columns[name][rows] = getattr(found, name)

    def _normalise(self, columns: dict[str, Any]) -> None:
        if self.normalised and "keypoints2d" in columns:
            columns["keypoints2d"][..., :2] = columns["keypoints2d"][..., :2] * (2 / self.form.size) - 1


def _keep_opencv_serial() -> None:
    """No threads of OpenCV's own: they would compete with the loader's, and a worker that is forked while they hold
    their lock waits for it for ever (seen with OpenCV 5.0 in ``remap``).
    """
    cv2.setNumThreads(1)


def decode_picture(data: memoryview | None, out: NDArray[np.uint8], place: str) -> None:
    """Decode a stored picture into ``out`` (H, W, 3); black where there is none.

    Raises:
        InputError: it is damaged, or of another size.
    """
    if data is None:
        out[:] = 0
    else:
        decode_image_into(data, out, place)


def _region(size: int) -> NDArray[np.uint8]:
    """This thread's own room for a region's picture."""
    kept = getattr(_scratch, "region", None)
    if kept is None or len(kept) != size:
        kept = _scratch.region = np.empty((size, size, 3), np.uint8)
    return kept


_scratch = local()
_LABELS = ("label", "distance", "distance_to_singular")


def cropped_decoder(index: ShardIndex, columns: Sequence[str] | None, cropper: Cropper | None) -> RowDecoder:
    """Reads the columns that are wanted, and those that a cropper needs.

    Raises:
        UnknownNameError: a column that shards do not have.
        BodyMismatchError: the shards were built with another body than the cropper's.
    """
    if cropper is None:
        return RowDecoder(index, columns)
    if index.body != cropper.body:
        raise BodyMismatchError(str(index.root), cropper.body, index.body)
    return RowDecoder(index, None if columns is None else cropper.columns(columns))


def _named(value: Augmentation | str) -> Augmentation:
    return augmentation(value) if isinstance(value, str) else value
