"""The photographs of records, for galleries: cut out of the originals, or taken from shards.

In: a folder of photographs or of shards; out: the crop of one record. Called by ``showcase``.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.geometry.crop import bbox_to_square, square_affine, warp_image
from hmrtk.toolkit.records.crops import EXPANSION, REGION_FACTOR
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.pictures import PhotoReader, require_image_folder

PHOTO_PX = 192


class Photographs(Protocol):
    """Gives crops of people."""

    def crop(self, records: RecordTable, row: int) -> NDArray[np.uint8] | None:
        """(192, 192, 3) uint8 RGB of one record's person; None where there is no picture of it."""


class OriginalPhotographs:
    """Crops out of the photographs that records name.

    Args:
        root: what ``image_path`` is relative to.

    Raises:
        InputError: no such folder; from ``crop`` a photograph that is missing or damaged.
    """

    def __init__(self, root: Place) -> None:
        require_image_folder(root)
        self._reader = PhotoReader(root)

    def crop(self, records: RecordTable, row: int) -> NDArray[np.uint8] | None:
        """The square crop around the record's box; None for a record without a path or a box."""
        one = records.take([row])
        path = one.table["image_path"][0].as_py()
        if not path or not one.has("bbox_xyxy")[0]:
            return None
        center, side = bbox_to_square(one.array("bbox_xyxy").astype(np.float64), EXPANSION)
        photo = self._reader.photograph(path, f"{records.place} row {row}")
        return np.asarray(warp_image(photo, square_affine(center, side, PHOTO_PX)[0], PHOTO_PX), np.uint8)


class ShardPhotographs:
    """Crops out of the pictures in shards, found by ``sample_id``.

    Args:
        root: folder of finished shards, of any split.

    Raises:
        InputError: no finished shards; from ``crop`` a damaged row.
    """

    def __init__(self, root: Place) -> None:
        from hmrtk.toolkit.shards.shard_map import ShardMap  # imports torch, which reports do without

        self._rows = ShardMap(root, None, ["sample_id", "image"], save=False)
        self._numbers: dict[str, int] = {}
        for group in range(len(self._rows.groups.sizes)):
            for name in self._rows.groups.read(group, ["sample_id"])["sample_id"].to_pylist():
                self._numbers[name] = len(self._numbers)

    def crop(self, records: RecordTable, row: int) -> NDArray[np.uint8] | None:
        """The middle of the stored region; None for a record that the shards lack, or have without a picture."""
        number = self._numbers.get(records.table["sample_id"][row].as_py())
        if number is None:
            return None
        picture = self._rows[number].get("image")
        if picture is None:
            return None
        region = np.ascontiguousarray(picture.numpy().transpose(1, 2, 0))
        side = round(len(region) / REGION_FACTOR)
        start = (len(region) - side) // 2
        middle = region[start : start + side, start : start + side]
        return np.asarray(cv2.resize(middle, (PHOTO_PX, PHOTO_PX), interpolation=cv2.INTER_AREA), np.uint8)
