"""Counting rows of shards: how many have a body, a picture, a camera, joints.

In: tables with ``COLUMNS``. Out: ``Counts``. Called by ``statistics``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.shards.codec import column_array
from hmrtk.toolkit.shards.schema import PHOTO, SYNTHESISED

COLUMNS = (
    "dataset", "split", "gender", "body_source", "image_source", "crop_camera_valid", "keypoints2d", "joints3d",
    *BODY_COLUMNS,
)  # fmt: skip
"""What is counted, some 900 bytes of a row."""
SHARES = ("body", PHOTO, SYNTHESISED, "crop_camera", "keypoints2d", "joints3d")
"""What a row may have; keypoints and joints: at least one with confidence."""


@dataclass
class Counts:
    """What is counted of rows, of one data set and split.

    Attributes:
        rows: how many.
        having: of ``SHARES`` → rows that have it.
        genders, body_sources: value → rows; body sources of rows with a body.
        confidence: sum of the mean confidences of the rows with ``keypoints2d``.
        tail: rows in the tail.
    """

    rows: int = 0
    having: Counter[str] = field(default_factory=Counter)
    genders: Counter[str] = field(default_factory=Counter)
    body_sources: Counter[str] = field(default_factory=Counter)
    confidence: float = 0.0
    tail: int = 0

    def add(self, other: Counts) -> None:
        """Count the rows of another as well."""
        for name in ("rows", "confidence", "tail"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("having", "genders", "body_sources"):
            getattr(self, name).update(getattr(other, name))

    def share(self, name: str) -> float:
        """Share of the rows that have something."""
        return self.having[name] / self.rows if self.rows else 0.0

    @property
    def mean_confidence(self) -> float | None:
        """Of the 24 keypoints of the rows that have any; those without count as 0."""
        there = self.having["keypoints2d"]
        return self.confidence / there if there else None

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "rows": self.rows,
            "shares": {name: self.share(name) for name in SHARES},
            "genders": dict(self.genders),
            "body_sources": dict(self.body_sources),
            "mean_keypoint_confidence": self.mean_confidence,
            "tail_rows": self.tail,
            "tail_share": self.tail / self.rows if self.rows else 0.0,
        }


def counted_rows(table: pa.Table) -> dict[tuple[str, str], Counts]:
    """(data set, split) → the counts of its rows.

    Args:
        table: rows with ``COLUMNS``.
    """
    names = list(zip(table["dataset"].to_pylist(), table["split"].to_pylist(), strict=True))
    having, confidence = _having(table)
    counts = {}
    for name in dict.fromkeys(names):
        rows = np.array([one == name for one in names])
        counts[name] = _of_one(table.filter(pa.array(rows)), having[:, rows], confidence[rows])
    return counts


def _having(table: pa.Table) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(6, n) which rows have each of ``SHARES``; (n,) mean confidence of the 24 keypoints, 0 where there are none."""
    source = np.array(table["image_source"].to_pylist(), object)
    known = np.all([table[name].is_valid().to_numpy() for name in BODY_COLUMNS], axis=0)
    keypoints, joints = (
        np.nan_to_num(column_array(table[name], table.schema.field(name))[0][..., -1].astype(np.float64))
        for name in ("keypoints2d", "joints3d")
    )
    camera = table["crop_camera_valid"].to_numpy()
    there = [(values > 0).any(axis=1) for values in (keypoints, joints)]
    return np.array([known, source == PHOTO, source == SYNTHESISED, camera, *there]), keypoints.mean(axis=1)


def _of_one(table: pa.Table, having: NDArray[np.bool_], confidence: NDArray[np.float64]) -> Counts:
    sums = dict(zip(SHARES, having.sum(axis=1).tolist(), strict=True))
    sources = np.array(table["body_source"].to_pylist(), object)[having[0]]
    return Counts(
        rows=len(table),
        having=Counter(sums),
        genders=Counter(gender or "not said" for gender in table["gender"].to_pylist()),
        body_sources=Counter(source or "not said" for source in sources),
        confidence=float(confidence.sum()),
    )
