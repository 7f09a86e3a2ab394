"""SPIN-style npz files: every variant that SPIN, GraphCMR, DecoMR, DaNet, PyMAF and PARE read their annotation from.

In: a folder with such files (``data/dataset_extras``), or one of them; out: one record table per split. Columns that a
file does not have are null, as SPIN's reader takes them (``base_dataset.py``): no ``pose`` or no ``shape``, no bodies;
``pose`` without ``has_smpl``, bodies in all rows; no ``part``, no keypoints. Traps, and what is done about them:

- **Box factor**: 200·``scale`` px is the side of a square 1.2 × the tight box, but 0.9 × the silhouette's box in SPIN's
  files of Human3.6M (DecoMR and GraphCMR: 1.0). It is taken off again, so the crop of a record is 1.2 × tight whatever
  the file did. MPII's ``scale`` comes from MPII itself; it is taken as 1.2 × tight too, so its crop is SPIN's.
- **Rooted joints**: ``S`` is in metres in axes of the camera, minus the pelvis (Human3.6M's own); a file in
  millimetres is refused.
- **Annotation of MPI-INF-3DHP**: ``S`` is ``annot3`` in the training file and ``univ_annot3`` (all people scaled to one
  height) in the test file (SPIN's ``mpi_inf_3dhp.py``). SPIN writes ``mpi_inf_3dhp_test.npz`` and reads
  ``mpi_inf_3dhp_valid.npz``: both names are the test set.
- **Pictures of Human3.6M** that SPIN's ``h36m.py`` extracted show the video one frame (20 ms) after the pose: it reads
  a frame before its loop. Those of ``h36m_train.py`` do not. The files cannot tell which pictures they go with.
- **3DPW** has bodies of two genders ('m', 'f') and neither ``part`` nor ``S``: no keypoints, hence no crop camera.
  The root is in the camera frame already.
- **SURREAL** has no pictures but names of videos and frames; joints are SMPL's 24 and only those that ``spin24`` shares
  are kept. The videos show people mirrored; the file has the bodies, so mirror the frames (DecoMR's ``surreal.py``).
- **Confidence** is SPIN's 0 or 1: 1 for all 14 joints of LSP and LSPET, hidden ones too. Above 1 is cut to 1.
- Keypoints of **COCO** and **MPII** are pixels counted from 0 and from 1, as in their own files, and become coordinates
  as from those (``annotation.PIXEL_OFFSETS``).
- ``dp_annot`` (DaNet's: DensePose's points and masks, pickled) is read without running anything, and ``maskname`` and
  ``partname`` are paths below UPi-S1h's folder; all three go to the side table (``records.dense``).
- ``openpose`` (detections, not annotation) and ``smpl_2dkps`` (DaNet made them up from COCO's) are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SPIN24_FROM_SMPL
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BETA_COUNT, MAX_ABS_BETA
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import as_gender
from hmrtk.toolkit.records.npz_file import NpzFile
from hmrtk.toolkit.sources.annotation import (
    SCALE_PX,
    confident,
    corner_box,
    image_paths,
    in_coordinates,
    in_spin24,
    person_ids,
    square_boxes,
)
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.densepose import COLUMNS, dense_columns
from hmrtk.toolkit.sources.options import require_positive
from hmrtk.toolkit.sources.picture_table import not_complete
from hmrtk.toolkit.sources.spin_variants import Variant, known_names, named_parts, variant_of

MAX_SCALE = 50.0
"""Of a file in units of 200 px: a box of 10,000 px."""
MAX_REACH_M = 50.0
"""Metres from the origin of ``S``; a joint beyond was written in millimetres."""


@dataclass(frozen=True)
class SpinNpzSource(AnnotationFiles):
    """``Source`` of SPIN-style npz files.

    Attributes:
        dataset: a key of ``VARIANTS``.
        expansion: by which the tight box was enlarged, where that is not what SPIN did.
    """

    format = "spin_npz"

    dataset: str
    expansion: float | None = None

    def __post_init__(self) -> None:
        require_positive(expansion=self.expansion)

    def files(self, root: Path) -> dict[str, list[Path]]:
        """One file per split, by the names of ``VARIANTS``."""
        return {variant.split: [path] for variant, path in spin_files(root, self.dataset)}

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order."""
        columns = spin_columns(part.path, self.dataset, variant_of(self.dataset, part.path.name), limit, self.expansion)
        with NpzFile(part.path, "center", limit) as file:
            return {**columns, **_dense(file)}


def spin_files(root: Path, dataset: str, splits: Sequence[str] | None = None) -> list[tuple[Variant, Path]]:
    """The known files of a dataset in a folder, in the order of ``VARIANTS``; or the one file that ``root`` is.

    Raises:
        InputError: a file with an unknown name, no known file, or two that hold the same split.
    """
    if root.is_file():
        return [(variant_of(dataset, root.name), root)]
    found: dict[str, tuple[Variant, Path]] = {}
    wanted = [name for name in known_names(dataset) if splits is None or variant_of(dataset, name).split in splits]
    for name in wanted:
        variant, path = variant_of(dataset, name), root / name
        if not path.is_file():
            continue
        if variant.split in found:
            other = found[variant.split][1].name
            raise InputError(root, f"{other} and {name} both hold the split {variant.split}", "pass --root one of them")
        found[variant.split] = (variant, path)
    if not found:
        raise not_complete(root, " or ".join(wanted), dataset)
    return list(found.values())


def spin_columns(
    path: Path, dataset: str, variant: Variant, limit: int | None, expansion: float | None = None
) -> dict[str, Any]:
    """Columns of ``RECORD_SCHEMA`` from one file.

    Raises:
        InputError: as the module says, naming file, key and row.
    """
    with NpzFile(path, "center", limit) as file:
        boxes = file_boxes(file, expansion or variant.expansion)
        identity = _video_identity(file) if "videoname" in file else _picture_identity(file, dataset)
        keypoints = _joints(file, "part", "part_smpl", 3)
        bodies = smpl_columns(file, "pose", "shape", file.flags("has_smpl"))
        source = [variant.bodies if has else None for has in has_body(bodies)] if bodies else None
        stems = identity.pop("stems")
        return {
            "sample_id": person_ids(dataset, variant.split, stems),
            **identity,
            "bbox_xyxy": boxes,
            "keypoints2d": None if keypoints is None else in_coordinates(keypoints, dataset),
            "joints3d": metric(_joints(file, "S", "S_smpl", 4), path),
            **bodies,
            "body_source": source,
            "gender": genders(file, bodies),
        }


def _dense(file: NpzFile) -> dict[str, list[Any]]:
    """Columns of the side table, those that the file has."""
    columns: dict[str, list[Any]] = {}
    for key, name in (("maskname", "silhouette_path"), ("partname", "parts_path")):
        if key in file:
            columns[name] = list(image_paths(file.texts(key), file.path))
    if "dp_annot" in file:
        rows = []
        for row, person in enumerate(file.objects("dp_annot")):
            place = f"{file.path} row {row}"
            if not isinstance(person, dict):
                raise InputError(place, f"dp_annot is a {type(person).__name__}, expected a dictionary")
            rows.append(dense_columns(person, corner_box(person.get("bbox"), place), place))
        columns |= {name: [values[name] for values in rows] for name in COLUMNS}
    return columns


def file_boxes(file: NpzFile, expansion: float) -> NDArray[np.float32]:
    """Tight boxes (rows, 4) from ``center`` and ``scale``.

    Raises:
        InputError: a scale that is not positive, or that was written in pixels; file and row are named.
    """
    scale = file.numbers("scale")
    if scale.max() > MAX_SCALE:
        row = int(scale.argmax())
        raise InputError(
            f"{file.path} row {row}",
            f"scale is {scale[row]:g}, a box of {scale[row] * SCALE_PX:.0f} px",
            "files in pixels are 4D-Humans': --format hmr2_npz",
        )
    try:
        return square_boxes(file.numbers("center", 2), scale, expansion)
    except InputError as error:
        place = f"{file.path} {error.place}" if error.place.startswith("row ") else error.place
        raise InputError(place, error.problem, error.remedy) from None


def smpl_columns(
    file: NpzFile, pose: str, shape: str, has: NDArray[np.bool_] | None = None, spare_betas: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Body columns from an axis-angle pose (72 numbers, the root first) and 10 betas; nothing without both keys.

    Args:
        has: (rows,) where there is a body; the other rows are NaN, which is null. None: everywhere.
        spare_betas: drop betas beyond the tenth; otherwise they are refused.

    Raises:
        InputError: a body with a value that is not finite, or absurd betas; file and row are named.
    """
    if pose not in file or shape not in file:
        return {}
    width = max(BETA_COUNT, file.shape(shape)[-1]) if spare_betas else BETA_COUNT
    theta, betas = file.numbers(pose, 24, 3, finite=False), file.numbers(shape, width, finite=False)[:, :BETA_COUNT]
    have = np.ones(file.rows, bool) if has is None else has
    for name, values in ((pose, theta), (shape, betas)):
        bad = have & ~np.isfinite(values).reshape(file.rows, -1).all(axis=1)
        if bad.any():
            raise InputError(f"{file.path} row {int(bad.argmax())}", f"{name} has NaN or infinite values")
    theta[~have], betas[~have] = np.nan, np.nan
    absurd = np.nan_to_num(np.abs(betas)).max(axis=1) > MAX_ABS_BETA
    if absurd.any():
        row = int(absurd.argmax())
        value = float(np.abs(betas[row]).max())
        raise InputError(
            f"{file.path} row {row}", f"|{shape}| reaches {value:.1f}, expected at most {MAX_ABS_BETA:.0f}"
        )
    return {"global_orient": theta[:, 0], "body_pose": theta[:, 1:], "betas": betas}


def has_body(bodies: dict[str, NDArray[np.float32]]) -> NDArray[np.bool_]:
    """(rows,) where ``smpl_columns`` has a body."""
    return np.asarray(np.isfinite(bodies["betas"]).all(axis=1))


def genders(file: NpzFile, bodies: dict[str, NDArray[np.float32]]) -> list[str | None] | None:
    """The file's genders; without them bodies are those of the neutral model, and rows without a body have none.

    Raises:
        InputError: a gender that is none; the row is named.
    """
    if "gender" in file:
        return [as_gender(text, "gender", f"{file.path} row {row}") for row, text in enumerate(file.texts("gender"))]
    return ["neutral" if has else None for has in has_body(bodies)] if bodies else None


def metric(joints: NDArray[np.float32] | None, path: Path) -> NDArray[np.float32] | None:
    """The joints (N, 24, 4), when they can be metres.

    Raises:
        InputError: a joint with confidence is further from the origin than a metre-file can have it; the row is named.
    """
    if joints is None:
        return None
    reach = np.abs(joints[..., :3]).max(axis=(1, 2))
    if (reach > MAX_REACH_M).any():
        row = int(reach.argmax())
        raise InputError(f"{path} row {row}", f"S reaches {reach[row]:.0f}, expected metres, not millimetres")
    return joints


def _joints(file: NpzFile, key: str, smpl_key: str, channels: int) -> NDArray[np.float32] | None:
    """Joints in ``spin24`` from the key that has them so, else from SMPL's 24 joints."""
    name = key if key in file else smpl_key
    if name not in file:
        return None
    joints = confident(file.numbers(name, 24, channels, finite=False), file.path, name)
    if name == key:
        return joints
    return in_spin24(joints[:, list(SPIN24_FROM_SMPL.values())], tuple(SPIN24_FROM_SMPL))


def _picture_identity(file: NpzFile, dataset: str) -> dict[str, Any]:
    paths = image_paths(file.texts("imgname"), file.path)
    stems = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    return {"stems": stems, "image_path": paths, **named_parts(dataset, paths)}


def _video_identity(file: NpzFile) -> dict[str, Any]:
    videos = image_paths(file.texts("videoname"), file.path)
    frames = file.integers("framenum").tolist()
    sequences = [str(PurePosixPath(video).with_suffix("")) for video in videos]
    stems = [f"{sequence}/{frame}" for sequence, frame in zip(sequences, frames, strict=True)]
    return {"stems": stems, "sequence": sequences, "frame": frames}
