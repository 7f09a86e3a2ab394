"""``Layout``: files of one data set in one format, pictures, and what is true of them; and who writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from hmrtk.toolkit.body.joints import J24_TO_COCO17
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.sources.annotation import H36M17_SLOTS, MPII16_SLOTS
from tests.sources.pictures import Known

ROWS = 3
SIZE = (480, 640)
ALL = tuple(range(24))
COCO = tuple(J24_TO_COCO17)
H36M, MPII, LSP = tuple(H36M17_SLOTS), tuple(MPII16_SLOTS), tuple(range(14))


EXACT, ABOUT = 0.97, 0.85
"""Shares of the person and the IUV map on each other: with the picture's own camera, and with a crop camera."""


@dataclass(frozen=True)
class Layout:
    """What was written, and what the reader of shards must return of it.

    Attributes:
        root: for ``ingest``. images: for ``build-shards``; None where the format has no pictures.
        known: the people of the first rows.
        slots: rows of ``spin24`` that have keypoints.
        split: that they are in.
        bodies: the rows have body parameters. joints: the rows have ``joints3d``.
        tolerance: px of the keypoints (whole pixels in COCO).
        bone: metres by which a joint may be off, relative to the pelvis.
        cover: the least share of the IUV map that lies on the person in the picture, and the other way round.
    """

    root: Path
    images: Path | None
    known: Known
    slots: tuple[int, ...] = ALL
    split: str = "train"
    bodies: bool = True
    joints: bool = False
    tolerance: float = 0.02
    bone: float = 1e-4
    cover: float = ABOUT


Writer = Callable[[Path, BodyModel, SimpleNamespace], Layout]
LAYOUTS: dict[tuple[str, str], Writer] = {}


def layout(*names: tuple[str, str]) -> Callable[[Callable[..., Layout]], Callable[..., Layout]]:
    """Register a writer for (dataset, format) pairs; one that serves several gets the dataset as its last argument."""

    def register(writer: Callable[..., Layout]) -> Callable[..., Layout]:
        for dataset, fmt in names:
            LAYOUTS[dataset, fmt] = _bound(writer, dataset, fmt) if len(names) > 1 else writer
        return writer

    return register


def _bound(writer: Callable[..., Layout], dataset: str, fmt: str) -> Writer:
    return lambda root, body, mocap: writer(root, body, mocap, dataset, fmt)
