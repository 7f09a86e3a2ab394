"""UPi-S1h (Unite the People): hand-made silhouettes and part masks of single people, for LSP, LSPET and MPII.

In: the unpacked archive: ``lsp/imNNNN_segmentation.png`` and ``imNNNN_part_segmentation.png``,
``lsp_extended/imNNNNN_segmentation.png``, ``mpii/images/NNNNN_segmentation.png``, perhaps below ``data/``; out: one row
per silhouette, the paths of both masks in the side table (``records.dense``). Traps, and what is done about them:

- A silhouette is what is **not 0**: 1 in some files, 255 in others, in one channel or three equal ones.
- **Parts** (LSP only) are labels 0 to 6: left arm, right arm, head, left leg, right leg, torso. 255 is to be ignored.
- **Splits** are LSP's own for ``lsp`` (1 to 1000 for training, 1001 to 2000 for testing); the others are ``lspet`` and
  ``mpii``. Some pictures of LSPET have no silhouette.
- ``image_path`` is the **picture beside the mask** where there is one: MPII's are (``NNNNN.png``, numbers that are not
  MPII's). Otherwise it is the name in LSP or LSPET, below the folder of that data set.
- The box is that of the silhouette. There are no bodies or cameras. ``mpii/poses.npz`` has joints in the order of the
  pictures; what its third row says is written nowhere, and it is not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.lsp import TRAIN_COUNT
from hmrtk.toolkit.sources.picture_table import ANNOTATED, not_complete

FOLDERS = {"lsp": "images/im{:04d}.jpg", "lsp_extended": "images/im{:05d}.jpg", "mpii/images": None}
"""Folder of masks → name of the pictures where they come from."""
SILHOUETTE, PARTS = "_segmentation.png", "_part_segmentation.png"
_NAME = re.compile(r"(im)?(\d{4,5})_segmentation\.png")


@dataclass(frozen=True)
class UpiSource(AnnotationFiles):
    """``Source`` of the masks; ``sample_id`` is ``upi_s1h/<split>/<folder>/<name of the picture>``."""

    format = "masks"
    regressor = ANNOTATED

    dataset: str = "upi_s1h"

    def files(self, root: Path) -> dict[str, list[Path]]:
        """The silhouettes of the folders that are there, by name."""
        found: dict[str, list[Path]] = {}
        for base in (root, root / "data"):
            for folder in FOLDERS:
                for path in sorted((base / folder).glob(f"*{SILHOUETTE}")):
                    match = _NAME.fullmatch(path.name)
                    if match:
                        found.setdefault(split_of(folder, int(match[2])), []).append(path)
        if not found:
            raise not_complete(root, " or ".join(f"{folder}/*{SILHOUETTE}" for folder in FOLDERS), self.dataset)
        return found

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """The one row of a silhouette."""
        folder, _, name = part.name.removeprefix("data/").rpartition("/")
        stem = name.removesuffix(SILHOUETTE)
        box, size = silhouette_box(part.path)
        parts = part.path.with_name(f"{stem}{PARTS}")
        return {
            "sample_id": [f"{self.dataset}/{part.split}/{folder}/{stem}"],
            "image_path": [picture_path(part, folder, stem)],
            "image_size": np.array([size], np.int32),
            "bbox_xyxy": box[None],
            "silhouette_path": [part.name],
            "parts_path": [f"{part.name.removesuffix(SILHOUETTE)}{PARTS}" if parts.is_file() else None],
        }


def picture_path(part: SplitFile, folder: str, stem: str) -> str | None:
    """The picture beside a mask, below the root, or its name in the data set that it is from; None for neither."""
    for ending in (".png", ".jpg"):
        if part.path.with_name(f"{stem}{ending}").is_file():
            return part.name.removesuffix(part.path.name) + stem + ending
    name = FOLDERS[folder]
    return name.format(int(stem.removeprefix("im"))) if name else None


def split_of(folder: str, number: int) -> str:
    """The split of a mask."""
    if folder == "lsp":
        return "train" if number <= TRAIN_COUNT else "test"
    return {"lsp_extended": "lspet", "mpii/images": "mpii"}[folder]


def silhouette_box(path: Path) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """(4,) tight box of what is not 0, px, and height and width of the picture.

    Raises:
        InputError: no readable picture, or nobody in it.
    """
    mask = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise InputError(path, "is not a readable picture")
    y, x = np.nonzero(mask)
    if not len(x):
        raise InputError(path, "is empty, expected a silhouette")
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32), mask.shape
