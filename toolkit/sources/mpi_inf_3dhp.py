"""MPI-INF-3DHP as it is downloaded: MATLAB annotation and a calibration text per sequence, HDF5 for the test set.

In: a folder with ``S1…8/Seq1…2/{annot.mat,camera.calibration}`` and ``mpi_inf_3dhp_test_set/TS1…6/annot_data.mat``;
out: one row per person and picture. Traps, and what is done about them (rules of SPIN's ``mpi_inf_3dhp.py``):

- **Two skeletons**: training has 28 joints, the test set 17 in another order. Both go to the same 17 of ``spin24``.
- **annot3 and univ_annot3**: ``annot3`` has the person's own size and falls on ``annot2``; ``univ_annot3`` is scaled to
  one skeleton for everybody and does not. Training uses the first, evaluation the second (as everybody's numbers on
  this dataset do), so test rows' ``joints3d`` do not project onto their ``keypoints2d``.
- **Millimetres**, in each camera's frame. SPIN centres them on the pelvis; here they stay where they are.
- **Cameras** 0–2 and 4–8 of 14: those that SPIN takes.
- **Every tenth** of the frames that remain is kept, and the count runs on from video to video: which frames depends
  on what is there. A frame remains when all 17 joints are inside the picture. ``step`` changes it for training; the
  test set is not thinned, but frames with ``valid_frame`` 0 or a joint outside are left out.
- **Picture names**: row i of the annotation is ``frame_%06d.jpg`` number i + 1 (test: ``img_%06d.jpg``). SPIN's script
  pairs them by the order in which the folder happens to be listed; here the number counts. Where a video's folder is
  there, or an archive of it, only pictures in it become rows.
- **Videos**: without ``imageFrames/video_0`` (a folder or an archive), but with ``imageSequence/video_0.avi``, row i is
  its frame i + 1 counted from 1, ``imageSequence/video_0.avi/000001.jpg`` for i = 0. Nothing has to be extracted
  (``records.picture_files``).
- The box is the tight box of the joints: it cuts off hands, feet and hair by a little.
- SPIN's script writes ``mpi_inf_3dhp_test.npz``, and its configuration reads ``mpi_inf_3dhp_valid.npz``: the same file.

No bodies here: those columns are null. ``focal`` and ``principal`` are null in the test set, whose files have none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.mat_file import read_variables
from hmrtk.toolkit.records.picture_files import has_pictures, picture_names
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.annotation import H36M17_SLOTS, gathered, in_spin24
from hmrtk.toolkit.sources.calibration import Camera, read_calibration
from hmrtk.toolkit.sources.matlab import numbers, open_hdf5
from hmrtk.toolkit.sources.options import require_positive
from hmrtk.toolkit.sources.picture_table import checked_finite, checked_root, joint_boxes, not_complete, record_table

DATASET = "mpi_inf_3dhp"
CAMERA_COUNT = 14
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
TRAIN_JOINTS = (4, 18, 19, 20, 23, 24, 25, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16)
"""Of the 28 joints, those of Human3.6M's 17 (SPIN)."""
TEST_JOINTS = (14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
TEST_SET = "mpi_inf_3dhp_test_set"
TEST_SIZES = {f"TS{i}": (2048, 2048) if i < 5 else (1080, 1920) for i in range(1, 7)}
"""Height and width, px, of the test pictures: TS5 and TS6 are outdoors, with another camera."""
MILLIMETRES = 1000.0
_FRAME = re.compile(r"frame_(\d{6})\.jpg")


@dataclass(frozen=True)
class MpiInfSource:
    """``Source`` of the raw files.

    Attributes:
        step: every so many of the training frames that remain.
        cameras: of the training videos.
    """

    step: int = 10
    cameras: tuple[int, ...] = CAMERAS

    def __post_init__(self) -> None:
        require_positive(step=self.step)
        if not self.cameras or not set(self.cameras) <= set(range(CAMERA_COUNT)):
            raise InputError("option cameras", f"expected some of 0 to {CAMERA_COUNT - 1}, got {list(self.cameras)}")

    def ingest(
        self,
        root: Path | None,
        body: BodyModel,
        *,
        seed: int = 0,
        limit: int | None = None,
        progress: Progress = silent,
    ) -> dict[str, RecordTable]:
        """Records by sequence, camera and frame.

        ``sample_id`` is ``mpi_inf_3dhp/train/S1/Seq1/video_0/<row>`` or ``mpi_inf_3dhp/test/TS1/<row>``, rows from 0.

        Args:
            root: the dataset's folder; subjects and test sequences that are not there are passed over.
            body: only its fingerprint is used, nothing is posed. seed: unused.
            limit: at most so many records per split.

        Raises:
            InputError: no sequence there, or a file that is missing, damaged, of another shape or has NaN.
        """
        root = checked_root(root, DATASET, limit)
        sequences = [root / f"S{s}" / f"Seq{q}" for s in range(1, 9) for q in (1, 2)]
        sequences = [folder for folder in sequences if folder.is_dir()]
        tests = [root / TEST_SET / name for name in TEST_SIZES if (root / TEST_SET / name).is_dir()]
        if not sequences and not tests:
            raise not_complete(root, f"S1/Seq1 … S8/Seq2 or {TEST_SET}/TS1 … TS6", DATASET)
        tables, total = {}, len(sequences) + len(tests)
        for split, folders, parts in (
            ("train", sequences, self._training(root, sequences)),
            ("test", tests, (test_part(root, folder) for folder in tests)),
        ):
            if folders:
                kept, used = _first(parts, limit, lambda n: progress("read", n, total))
                tables[split] = self._table(root, kept, folders[:used], split, body, limit)
        return tables

    def _training(self, root: Path, sequences: list[Path]) -> Iterator[dict[str, Any]]:
        """Columns of each sequence; the count of remaining frames runs on."""
        counted = 0
        for folder in sequences:
            parts = []
            for part, remaining in self._videos(root, folder):
                thinned = slice((-counted) % self.step, None, self.step)
                counted += remaining
                parts.append({name: value[thinned] for name, value in part.items()})
            yield gathered(parts)

    def _videos(self, root: Path, folder: Path) -> Iterator[tuple[dict[str, Any], int]]:
        """Columns of the frames of each camera that remain, and how many they are."""
        path = folder / "annot.mat"
        cells = read_variables(path, ["annot2", "annot3"])
        calibration = folder / "camera.calibration"
        cameras = read_calibration(calibration)
        for number in self.cameras:
            if number not in cameras:
                raise InputError(calibration, f"has no camera {number}")
            pixels = cell(cells["annot2"], "annot2", number, 56, path).reshape(-1, 28, 2)[:, TRAIN_JOINTS]
            points = cell(cells["annot3"], "annot3", number, 84, path).reshape(-1, 28, 3)[:, TRAIN_JOINTS]
            if len(pixels) != len(points):
                raise InputError(
                    path, f"annot2 and annot3 of camera {number} have {len(pixels)} and {len(points)} rows"
                )
            camera = cameras[number]
            rows = frames_there(folder / "imageFrames" / f"video_{number}", len(pixels))
            checked_finite(pixels[rows], path, "annot2", f"camera {number} frame", rows)
            checked_finite(points[rows], path, "annot3", f"camera {number} frame", rows)
            rows = rows[inside(pixels[rows], camera.size)]
            yield video_columns(root, folder, number, camera, rows, pixels[rows], points[rows]), len(rows)

    def _table(
        self,
        root: Path,
        parts: list[dict[str, Any]],
        folders: list[Path],
        split: str,
        body: BodyModel,
        limit: int | None,
    ) -> RecordTable:
        names = ("annot.mat", "camera.calibration") if split == "train" else ("annot_data.mat",)
        files = [folder / name for folder in folders for name in names]
        inputs = {path.relative_to(root).as_posix(): path for path in files}
        columns = {name: value[:limit] for name, value in gathered(parts).items()}
        if not columns["sample_id"]:
            raise InputError(files[0], "has no frame with all 17 joints inside the picture")
        config = {"format": "raw", "limit": limit, **asdict(self)}
        return record_table(DATASET, split, columns, body, inputs, config, regressor="h36m17")


def test_part(root: Path, folder: Path) -> dict[str, Any]:
    """Columns of one test sequence."""
    path = folder / "annot_data.mat"
    with open_hdf5(path, ["annot2", "univ_annot3", "valid_frame"]) as file:
        pixels = numbers(file["annot2"], (None, 1, 17, 2), "annot2", path)[:, 0, TEST_JOINTS]
        count = len(pixels)
        points = numbers(file["univ_annot3"], (count, 1, 17, 3), "univ_annot3", path)[:, 0, TEST_JOINTS]
        valid = numbers(file["valid_frame"], (count, 1), "valid_frame", path)[:, 0] != 0
    size = TEST_SIZES[folder.name]
    rows = np.flatnonzero(valid)
    checked_finite(pixels[rows], path, "annot2", "valid frame", rows)
    checked_finite(points[rows], path, "univ_annot3", "valid frame", rows)
    rows = rows[inside(pixels[rows], size)]
    place = folder.relative_to(root).as_posix()
    return {
        "sample_id": [f"{DATASET}/test/{folder.name}/{row}" for row in rows],
        "image_path": [f"{place}/imageSequence/img_{row + 1:06d}.jpg" for row in rows],
        "subject": [folder.name] * len(rows),
        "sequence": [folder.name] * len(rows),
        "camera_id": ["0"] * len(rows),
        "frame": rows.astype(np.int32),
        "image_size": np.tile(np.array(size, np.int32), (len(rows), 1)),
        **joint_columns(pixels[rows], points[rows]),
    }


def video_columns(
    root: Path,
    folder: Path,
    number: int,
    camera: Camera,
    rows: NDArray[np.intp],
    pixels: NDArray[np.float64],
    points: NDArray[np.float64],
) -> dict[str, Any]:
    """Columns of the frames ``rows`` of one training video."""
    sequence = folder.relative_to(root).as_posix()
    pictures, count = f"{sequence}/imageFrames/video_{number}/frame_", len(rows)
    video = folder / "imageSequence" / f"video_{number}.avi"
    if video.is_file() and not has_pictures(folder / "imageFrames" / f"video_{number}"):
        pictures = f"{sequence}/imageSequence/{video.name}/"
    return {
        "sample_id": [f"{DATASET}/train/{sequence}/video_{number}/{row}" for row in rows],
        "image_path": [f"{pictures}{row + 1:06d}.jpg" for row in rows],
        "subject": [folder.parent.name] * count,
        "sequence": [sequence] * count,
        "camera_id": [str(number)] * count,
        "frame": rows.astype(np.int32),
        "image_size": np.tile(np.array(camera.size, np.int32), (count, 1)),
        "focal": np.tile(np.array(camera.focal, np.float32), (count, 1)),
        "principal": np.tile(np.array(camera.principal, np.float32), (count, 1)),
        **joint_columns(pixels, points),
    }


def joint_columns(pixels: NDArray[np.float64], points: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """(N, 17, 2) px and (N, 17, 3) mm → keypoints, joints and boxes of a record table."""
    known = np.ones((len(pixels), 17, 1))
    keypoints = np.concatenate([pixels, known], axis=-1)
    return {
        "bbox_xyxy": joint_boxes(keypoints),
        "keypoints2d": in_spin24(keypoints, H36M17_SLOTS),
        "joints3d": in_spin24(np.concatenate([points / MILLIMETRES, known], axis=-1), H36M17_SLOTS),
    }


def cell(cells: NDArray[Any], name: str, number: int, width: int, path: Path) -> NDArray[np.float64]:
    """(F, width) of one camera's cell."""
    entries = cells.ravel()
    if cells.dtype != object or number >= len(entries):
        found = f"{len(entries)} cells" if cells.dtype == object else str(cells.dtype)
        raise InputError(path, f"{name}: expected a cell per camera, got {found} and no camera {number}")
    return numbers(entries[number], (None, width), f"{name} of camera {number}", path)


def frames_there(folder: Path, count: int) -> NDArray[np.intp]:
    """Rows, from 0, whose picture is in a video's folder or its archive; all ``count`` where there is neither."""
    names = picture_names(folder)
    if names is None:
        return np.arange(count)
    found = sorted(int(match[1]) - 1 for name in names if (match := _FRAME.fullmatch(name)))
    return np.array([row for row in found if 0 <= row < count], np.intp)


def inside(pixels: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) whether all joints (N, J, 2) lie in a picture of height, width."""
    return np.asarray(((pixels >= 0) & (pixels < np.array(size[::-1]))).all(axis=(1, 2)))


def _first(
    parts: Iterator[dict[str, Any]], limit: int | None, tell: Callable[[int], None]
) -> tuple[list[dict[str, Any]], int]:
    """Parts until there are ``limit`` rows, and how many."""
    kept: list[dict[str, Any]] = []
    for part in parts:
        kept.append(part)
        tell(len(kept))
        if limit is not None and sum(len(each["sample_id"]) for each in kept) >= limit:
            break
    return kept, len(kept)
