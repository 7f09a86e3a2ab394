"""Leeds Sports Pose (LSP), its extended training set (LSPET) and that set in high resolution (HR-LSPET).

In: a folder with ``joints.mat`` and pictures; out: one row per picture. Traps, and what is done about them:

- ``joints`` is **(3, 14, N) in LSP and (14, 3, N) in LSPET and HR-LSPET**: told apart by shape, not by name.
- The **third value** is 1 where the joint is occluded in LSP, whose joints are all marked all the same, and 1 where it
  is marked in LSPET. So LSP's are all used (as by SPIN's ``lsp_dataset.py``), and LSPET's where the value is 1.
- **Splits**: LSP's pictures 1–1000 are for training, 1001–2000 for testing; LSPET is for training only.
- **Picture names**: LSP ``images/im0001.jpg``, LSPET ``images/im00001.jpg``, counted from 1. HR-LSPET's are ``*.png``,
  and column i of ``joints`` belongs to the i-th of them by name (SPIN's ``hr_lspet.py``); so all must be there. SPIN
  takes all its joints for known; the third value is heeded here.
- LSPET pictures whose known joints span no box are left out.
- The box is the tight box of the known joints, as in SPIN: it cuts off hands, feet and hair by a little.
- Joints are annotated **person-centric** (left is the person's left), the hips and the neck at LSP's own places, which
  are those of ``spin24``.
- Neither README nor homepage says whether pixels are counted from 0 or 1: coordinates stay as they are, at most half a
  pixel off.

The files name no body, camera or picture size; those columns are null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.mat_file import read_variables
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.annotation import LSP14_SLOTS, in_spin24
from hmrtk.toolkit.sources.picture_table import checked_finite, checked_root, first_file, joint_boxes, record_table

TRAIN_COUNT = 1000
"""The first so many of LSP's pictures are for training."""


@dataclass(frozen=True)
class LspSource:
    """``Source`` of the three.

    Attributes:
        dataset: ``lsp``, or ``lspet`` for LSPET and HR-LSPET.
    """

    dataset: str = "lsp"

    def ingest(
        self,
        root: Path | None,
        body: BodyModel,
        *,
        seed: int = 0,
        limit: int | None = None,
        progress: Progress = silent,
    ) -> dict[str, RecordTable]:
        """Records by picture number; ``sample_id`` is ``lsp/<split>/<picture>/0``.

        Args:
            root: the folder that holds ``joints.mat``.
            body: only its fingerprint is used, nothing is posed. seed: unused.
            limit: at most so many records per split.

        Raises:
            InputError: no such file, not MATLAB's, the other dataset's shape, NaN, or pictures of another number.
        """
        root = checked_root(root, self.dataset, limit)
        path = first_file(root, ("joints.mat",), self.dataset)
        keypoints = read_joints(path, self.dataset)
        names = self._names(root, path, len(keypoints))
        cuts = {"train": slice(0, TRAIN_COUNT), "test": slice(TRAIN_COUNT, None)} if self.dataset == "lsp" else {}
        tables = {}
        for split, rows in (cuts or {"train": slice(None)}).items():
            if len(names[rows]):
                columns = self._columns(keypoints[rows], names[rows], split, limit, path)
                config = {"format": "raw", "limit": limit}
                tables[split] = record_table(self.dataset, split, columns, body, {path.name: path}, config)
        progress("read", 1, 1, path.name)
        return tables

    def _names(self, root: Path, path: Path, count: int) -> list[str]:
        """The picture of each column of ``joints``, below the root."""
        if self.dataset == "lsp":
            return [f"images/im{i + 1:04d}.jpg" for i in range(count)]
        pictures = sorted(p.relative_to(root).as_posix() for p in (*root.glob("*.png"), *root.glob("images/*.png")))
        if not pictures:
            return [f"images/im{i + 1:05d}.jpg" for i in range(count)]
        if len(pictures) != count:
            raise InputError(
                path, f"has joints of {count} pictures, but {len(pictures)} .png files are beside it",
                "HR-LSPET's joints go by the order of its pictures, so all of them must be there",
            )  # fmt: skip
        return pictures

    def _columns(
        self, keypoints: NDArray[np.float64], names: Sequence[str], split: str, limit: int | None, path: Path
    ) -> dict[str, Any]:
        boxes = joint_boxes(keypoints)
        sound = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
        if not sound.all() and (self.dataset == "lsp" or not sound.any()):
            name = names[int((~sound).argmax())]
            raise InputError(f"{path} {name}", "its known joints span no box, expected at least two apart")
        rows = np.flatnonzero(sound)[:limit]
        return {
            "sample_id": [f"{self.dataset}/{split}/{Path(names[row]).stem}/0" for row in rows],
            "image_path": [names[row] for row in rows],
            "bbox_xyxy": boxes[rows],
            "keypoints2d": in_spin24(keypoints[rows], LSP14_SLOTS),
        }


def read_joints(path: Path, dataset: str) -> NDArray[np.float64]:
    """``joints.mat`` → (N, 14, 3) px and confidence 0 or 1; joints without confidence are zeros.

    Raises:
        InputError: unreadable, not the shape of the dataset, or NaN in a joint that counts.
    """
    raw = read_variables(path, ["joints"])["joints"]
    shapes = {(3, 14): "lsp", (14, 3): "lspet"}
    found = shapes.get(raw.shape[:2]) if raw.ndim == 3 and raw.dtype.kind in "fiub" else None
    if found is None:
        raise InputError(path, f"joints: expected shape (3, 14, N) or (14, 3, N), got {raw.dtype} {raw.shape}")
    if found != dataset:
        raise InputError(path, f"joints has shape {raw.shape}, which is that of {found}", f"pass --dataset {found}")
    joints = np.moveaxis(raw, -1, 0).astype(np.float64)  # (N, 3, 14) or (N, 14, 3)
    joints = joints.swapaxes(1, 2) if found == "lsp" else joints
    known = np.ones_like(joints[..., 2:]) if found == "lsp" else joints[..., 2:]
    keypoints = np.where(known > 0, np.concatenate([joints[..., :2], known], axis=-1), 0)
    checked_finite(keypoints, path, "joints", "column")
    return keypoints
