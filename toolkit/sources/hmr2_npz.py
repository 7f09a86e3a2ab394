"""The npz files that 4D-Humans (HMR 2.0) and ProHMR train and evaluate with.

In: a folder with ``3dpw_test.npz``, ``h36m_val_p2.npz``, ``coco_val.npz``, ``hr-lspet_train.npz``, … or one file; out:
one record table per split. Keys: imgname, center, scale, body_pose (N, 72), has_body_pose, betas, has_betas,
body_keypoints_2d (N, 25, 3), extra_keypoints_2d (N, 19, 3), the same in 3D with 4 columns, extra_info. Traps:

- ``scale`` is in **pixels** (4D-Humans divides it by 200 when it loads), one number, or **two**: width and height. A
  file in SPIN's units, over 200, is refused: it would be a person some pixels high.
- ``body_pose`` **includes the root**, in the camera frame: 72 numbers, not 69.
- A body needs both ``has_body_pose`` and ``has_betas``; without the keys there is none, and without one of the two the
  row has no body here (4D-Humans trains on half of it).
- The 44 **joints** are BODY_25, then the first 19 of ``spin24``; nose, eyes and ears come from BODY_25. In 2D a limb
  joint without confidence among the 19 is taken from BODY_25 too; in 3D never, as 4D-Humans does.
- The box is taken as enlarged by 1.2; the files do not say.
- ``extra_info`` (pickled) is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.npz_file import NpzFile
from hmrtk.toolkit.sources.annotation import confident, image_paths, in_coordinates, person_ids
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.hmr2 import BODY_COUNT, EXTRA_COUNT, pixel_boxes, spin24_of_44
from hmrtk.toolkit.sources.picture_table import not_complete
from hmrtk.toolkit.sources.spin_npz import genders, has_body, metric, smpl_columns
from hmrtk.toolkit.sources.spin_variants import named_parts

FILES: dict[str, dict[str, str]] = {
    "3dpw": {"3dpw_test.npz": "test"},
    "h36m": {"h36m_val_p2.npz": "test_p2", "h36m_val_p1.npz": "test", "h36m_train.npz": "train"},
    "mpi_inf_3dhp": {"mpi_inf_3dhp_train.npz": "train"},
    "coco": {"coco_val.npz": "val", "coco_train.npz": "train"},
    "mpii": {"mpii_train.npz": "train"},
    "lspet": {"hr-lspet_train.npz": "train"},
}
"""dataset → file → split."""
LEAST_SIDE_PX = 8.0
"""No file has smaller people; SPIN's units would give 1 for a person of 200 px."""


@dataclass(frozen=True)
class Hmr2NpzSource(AnnotationFiles):
    """``Source`` of 4D-Humans' npz files. ``dataset``: a key of ``FILES``."""

    format = "hmr2_npz"

    dataset: str

    def files(self, root: Path) -> dict[str, list[Path]]:
        """One file per split; a single file of another name becomes the split that its name ends in."""
        known = FILES[self.dataset]
        if root.is_file():
            ending = next((split for split in ("train", "val", "test") if root.stem.endswith(split)), "train")
            return {known.get(root.name, ending): [root]}
        found = {split: [root / name] for name, split in known.items() if (root / name).is_file()}
        if not found:
            raise not_complete(root, " or ".join(known), self.dataset)
        return found

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order."""
        path, split = part.path, part.split
        with NpzFile(path, "center", limit) as file:
            names = image_paths(file.texts("imgname"), path)
            keypoints = _joints(file, "2d", 3)
            bodies = _bodies(file)
            return {
                "sample_id": person_ids(self.dataset, split, [str(PurePosixPath(n).with_suffix("")) for n in names]),
                "image_path": names,
                **named_parts(self.dataset, names),
                "bbox_xyxy": _boxes(file),
                "keypoints2d": None if keypoints is None else in_coordinates(keypoints, self.dataset),
                "joints3d": metric(_joints(file, "3d", 4), path),
                **bodies,
                "body_source": ["hmr2" if row else None for row in has_body(bodies)] if bodies else None,
                "gender": genders(file, bodies),
            }


def _boxes(file: NpzFile) -> NDArray[np.float32]:
    shape = file.shape("scale")
    sides = int(np.prod(shape[1:], dtype=np.int64))
    if sides not in (1, 2):
        raise InputError(file.path, f"scale has shape {shape}, expected one or two numbers per row")
    size = np.repeat(file.numbers("scale", sides), 2 // sides, axis=1)
    small = (size > 0).all(axis=1) & (size.max(axis=1) < LEAST_SIDE_PX)
    if small.any():
        row = int(small.argmax())
        raise InputError(
            f"{file.path} row {row}", f"scale is {size[row, 0]:g} px", "a file in units of 200 px is --format spin_npz"
        )
    return pixel_boxes(file.numbers("center", 2), size, file.path)


def _bodies(file: NpzFile) -> dict[str, NDArray[np.float32]]:
    pose, betas = file.flags("has_body_pose"), file.flags("has_betas")
    if pose is None or betas is None:
        return {}
    return smpl_columns(file, "body_pose", "betas", pose & betas)


def _joints(file: NpzFile, kind: str, channels: int) -> NDArray[np.float32] | None:
    """(rows, 24, channels), of whichever of the two arrays there is."""
    names = {f"body_keypoints_{kind}": BODY_COUNT, f"extra_keypoints_{kind}": EXTRA_COUNT}
    if not any(name in file for name in names):
        return None
    parts = [
        confident(file.numbers(name, count, channels, finite=False), file.path, name)
        if name in file
        else np.zeros((file.rows, count, channels), np.float32)
        for name, count in names.items()
    ]
    return spin24_of_44(np.concatenate(parts, axis=1), limbs=kind == "2d")
