"""CLIFF's pseudo ground truth (Li et al., ECCV 2022): bodies in the camera of the whole picture, for COCO and MPII.

In: a folder with ``coco2014part_cliffGT.npz`` or ``mpii_cliffGT.npz`` (also below ``cliffGT_v1/``), or one of them;
out: one row per person, split ``train_cliff``. Keys as its README has them: imgname, center, scale, part (N, 24, 3),
annot_id (COCO), pose, shape, has_smpl, global_t, focal_l, S (N, 24, 4). Traps, and what is done about them:

- ``global_t`` is called the pelvis' translation, but CLIFF's own drawing passes it to SMPL as ``transl``
  (``viz_cliffGT_perImg.py``): the pelvis is at J₀(β) + ``global_t``. It is ``transl`` here.
- ``focal_l`` is **no calibration** but √(w² + h²) of the picture, and the principal point is the picture's middle. The
  file has no w and h: they are read from the headers of the pictures when all of them lie below the folder, and
  checked against ``focal_l``. Otherwise ``image_size`` and ``principal`` are null, and with them the full camera.
- **Crops are 4:3** (256 × 192): 200·``scale`` px is the height, the width is 3/4 of it (``imutils.py``). The tight box
  is this rectangle over 1.2, so a record's square crop is as high as CLIFF's. CLIFF enlarges a detector's boxes by 1.1,
  and those of its 3DPW evaluation by 1.2; for this file no factor is told.
- ``S`` has the pelvis at 0, metres. ``part`` is the datasets' own annotation, in their own pixel numbers
  (``annotation.PIXEL_OFFSETS``).
- MPII's file has people who are not wholly in the picture, unlike SPIN's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.npz_file import NpzFile
from hmrtk.toolkit.sources.annotation import annotation_ids, confident, image_paths, in_coordinates
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.picture_table import first_file
from hmrtk.toolkit.sources.spin_npz import file_boxes, genders, has_body, metric, smpl_columns

FILES = {"coco": "coco2014part_cliffGT.npz", "mpii": "mpii_cliffGT.npz"}
"""dataset → file."""
FOLDER = "cliffGT_v1"
SPLIT = "train_cliff"
ASPECT = 0.75
"""Width over height of CLIFF's crops."""
DIAGONAL_PX = 1.0
"""How far ``focal_l`` may be from the diagonal of the picture beside it."""
HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class CliffSource(AnnotationFiles):
    """``Source`` of CLIFF's pseudo ground truth. ``dataset``: coco or mpii."""

    format = "cliff"

    dataset: str

    def files(self, root: Path) -> dict[str, list[Path]]:
        """The dataset's file."""
        name = FILES[self.dataset]
        return {SPLIT: [root if root.is_file() else first_file(root, [name, f"{FOLDER}/{name}"], self.dataset)]}

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order. Pictures are looked for in the file's folder and in the one above it.

        Raises:
            InputError: also for a picture of another size than the file says; its row is named.
        """
        path = part.path
        folders = (path.parent, path.parent.parent)
        with NpzFile(path, "center", limit) as file:
            names = image_paths(file.texts("imgname"), path)
            stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
            focal = file.numbers("focal_l")
            keypoints = confident(file.numbers("part", 24, 3, finite=False), path, "part")
            bodies = smpl_columns(file, "pose", "shape", file.flags("has_smpl"))
            joints = confident(file.numbers("S", 24, 4, finite=False), path, "S") if "S" in file else None
            has = has_body(bodies) if bodies else np.zeros(file.rows, bool)
            return {
                "sample_id": annotation_ids(self.dataset, SPLIT, stems, _annotation_numbers(file)),
                "image_path": names,
                "bbox_xyxy": portrait_boxes(file_boxes(file, EXPANSION)),
                "keypoints2d": in_coordinates(keypoints, self.dataset),
                "joints3d": metric(joints, path),
                **bodies,
                "transl": np.where(has[:, None], file.numbers("global_t", 3), np.nan),
                "body_source": ["cliff" if row else None for row in has.tolist()],
                "gender": genders(file, bodies),
                "focal": np.repeat(focal[:, None], 2, axis=1),
                **picture_columns(names, folders, focal, path),
            }


def portrait_boxes(squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Square boxes (N, 4) → boxes of the same centre and height, and CLIFF's width."""
    boxes = squares.copy()
    cut = (1 - ASPECT) / 2 * (squares[:, 2] - squares[:, 0])
    boxes[:, 0] += cut
    boxes[:, 2] -= cut
    return boxes


def picture_columns(
    names: Sequence[str], folders: Sequence[Path], focal: NDArray[np.float32], place: Path
) -> dict[str, NDArray[Any]]:
    """``image_size`` and ``principal``, when every picture is below one of the folders; else neither.

    Raises:
        InputError: a picture whose diagonal is not ``focal_l``; the row is named.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for name in dict.fromkeys(names):
        found = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if found is None:
            return {}
        sizes[name] = jpeg_size(found)
    size = np.array([sizes[name] for name in names], np.int32)  # (N, 2) height, width
    wrong = np.abs(np.hypot(size[:, 0], size[:, 1]) - focal) > DIAGONAL_PX
    if wrong.any():
        row = int(wrong.argmax())
        height, width = size[row].tolist()
        raise InputError(
            f"{place} row {row}",
            f"focal_l is {focal[row]:.1f}, but {names[row]} has {width} × {height} px, a diagonal of "
            f"{np.hypot(height, width):.1f}",
            "the picture is of another release",
        )
    return {"image_size": size, "principal": size[:, ::-1].astype(np.float32) / 2}


def jpeg_size(path: Path) -> tuple[int, int]:
    """Height and width, px, from a JPEG's header.

    Raises:
        InputError: not a readable JPEG.
    """
    import simplejpeg

    try:
        with path.open("rb") as stream:
            data = stream.read(HEADER_BYTES)
            try:
                height, width, *_ = simplejpeg.decode_jpeg_header(data)
            except ValueError:  # a long preview or colour profile stands before the size
                height, width, *_ = simplejpeg.decode_jpeg_header(data + stream.read())
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(path, f"is not a readable JPEG: {str(error).splitlines()[0]}") from None
    return int(height), int(width)


def _annotation_numbers(file: NpzFile) -> list[int | None]:
    if "annot_id" not in file:
        return [None] * file.rows
    return [int(number) for number in file.integers("annot_id").tolist()]
