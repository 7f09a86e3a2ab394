"""Human3.6M as it is downloaded: a pose file per action and camera, and a mask file for the person's box.

In: a folder with ``S1…S11/MyPoseFeatures/{D2_Positions,D3_Positions_mono}/<action>.<camera>.cdf`` (or ``.cdf.mat``) and
``MySegmentsMat/ground_truth_bb/<action>.<camera>.mat``; out: one row per frame kept. Traps, and what is done about them
(rules of SPIN's ``h36m.py``):

- **Frames**: every 5th of 50 per second, from the first. Others report every 64th under the name of protocol 2.
- **Protocols**: 1 is S9 and S11 in all four cameras, 2 in camera 60457274 only. The split ``test`` is protocol 1;
  protocol 2 is its rows with that ``camera_id`` (or ``cameras``).
- **Off by one**: pose i (from 0) gets the picture ``S9_Directions_1.54138969_%06d.jpg`` number i + 1. SPIN's extraction
  for testing reads one frame of the video before it starts, so its picture i + 1 shows video frame i + 1 and not i, a
  fiftieth of a second after the pose; DecoMR's is the same, SPIN's training script is right. ``image_path`` is that
  name either way; in pictures that you extract yourself, let ``…_000001.jpg`` be the first frame.
- **Videos**: without ``images`` (a folder or an archive) beside the subjects, but with ``S9/Videos/Directions
  1.54138969.mp4``, pose i gets its frame i + 1 counted from 1, the right one: ``S9/Videos/Directions
  1.54138969.mp4/000001.jpg`` for i = 0. Nothing has to be extracted (``records.picture_files``).
- **Boxes** are loose: the box of the mask. SPIN's crop is ``box_factor`` = 0.9 times its longer side, GraphCMR's and
  DecoMR's 1.0. The record's box is square and such that, expanded by 1.2, it is that crop. Frames beyond the masks are
  left out.
- **Names**: actions contain spaces, which become ``_``; ``_ALL`` is no action. VideoPose3D leaves out S11's Directions
  for a damaged video; SPIN keeps it, and so does this reader.
- **32 joints**, some of them twice, of which SPIN's 17 are taken, left and right by name and not by place.
- **Millimetres** in the camera's frame (``_mono``). SPIN centres them on the pelvis; here they stay where they are. 2D
  positions include the lens's distortion, so a pinhole camera meets them to a few pixels only.

No bodies here (MoSh's were withdrawn), and the cameras are in a file of their own: those columns are null.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.picture_files import has_pictures
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.annotation import H36M17_SLOTS, SCALE_PX, gathered, in_spin24, square_boxes
from hmrtk.toolkit.sources.cdf import read_poses
from hmrtk.toolkit.sources.matlab import open_hdf5
from hmrtk.toolkit.sources.options import require_positive
from hmrtk.toolkit.sources.picture_table import checked_root, not_complete, record_table

DATASET = "h36m"
SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
JOINTS = (11, 6, 7, 8, 1, 2, 3, 12, 24, 14, 15, 17, 18, 19, 25, 26, 27)
"""Of the 32 joints, the 17 that SPIN takes, in its order."""
MILLIMETRES = 1000.0
FRAME_STEP, BOX_FACTOR = 5, 0.9


@dataclass(frozen=True)
class H36mSource:
    """``Source`` of the raw files.

    Attributes:
        step: every so many frames are kept.
        cameras: only these; all when empty.
        box_factor: side of the crop over the longer side of the mask's box.
    """

    step: int = FRAME_STEP
    cameras: tuple[str, ...] = ()
    box_factor: float = BOX_FACTOR

    def __post_init__(self) -> None:
        require_positive(step=self.step, box_factor=self.box_factor)

    def ingest(
        self,
        root: Path | None,
        body: BodyModel,
        *,
        seed: int = 0,
        limit: int | None = None,
        progress: Progress = silent,
    ) -> dict[str, RecordTable]:
        """Records by subject, action, camera and frame; ``sample_id`` is ``h36m/<split>/S9_<action>.<camera>/<frame>``.

        Args:
            root: the dataset's folder; subjects that are not there are passed over.
            body: only its fingerprint is used, nothing is posed. seed: unused.
            limit: at most so many records per split.

        Raises:
            InputError: no pose file, or a file that is missing, damaged, of another shape, has NaN or an empty mask.
        """
        root = checked_root(root, DATASET, limit)
        found = {split: [p for s in subjects for p in self._files(root, s)] for split, subjects in SUBJECTS.items()}
        if not any(found.values()):
            raise not_complete(root, "S1 … S11/MyPoseFeatures/D3_Positions_mono/*.cdf", DATASET)
        tables = {}
        for split, files in found.items():
            parts, read, rows = [], {}, 0
            for done, path in enumerate(files):
                if limit is not None and rows >= limit:
                    break
                part, used = self._sequence(path, split)
                parts.append(part)
                read.update({each.relative_to(root).as_posix(): each for each in used})
                rows += len(part["sample_id"])
                progress("read", done + 1, len(files), path.name)
            if parts:
                columns = {name: value[:limit] for name, value in gathered(parts).items()}
                config = {"format": "raw", "limit": limit, **asdict(self)}
                tables[split] = record_table(DATASET, split, columns, body, read, config, regressor="h36m17")
        return tables

    def _files(self, root: Path, subject: int) -> Iterator[Path]:
        """Pose files of a subject, by name."""
        folder = root / f"S{subject}" / "MyPoseFeatures" / "D3_Positions_mono"
        for path in sorted((*folder.glob("*.cdf"), *folder.glob("*.cdf.mat"))):
            action, camera = action_and_camera(path)
            twice = path.suffix == ".mat" and path.with_suffix("").is_file()
            if action != "_ALL" and not twice and (camera in self.cameras or not self.cameras):
                yield path

    def _sequence(self, path: Path, split: str) -> tuple[dict[str, Any], tuple[Path, ...]]:
        """Columns of one action in one camera, and the files read."""
        features = path.parents[1]
        subject, (action, camera) = features.parent.name, action_and_camera(path)
        flat = features / "D2_Positions" / path.name
        name = path.name.split(".cdf")[0]
        masks = features.parent / "MySegmentsMat" / "ground_truth_bb" / f"{name}.mat"
        points, pixels = read_poses(path, 96), read_poses(flat, 64)
        if len(points) != len(pixels):
            raise InputError(flat, f"has {len(pixels)} frames, but {path.name} of D3_Positions_mono {len(points)}")
        box, size = mask_boxes(masks, range(0, len(points), self.step))
        frames = np.arange(len(box), dtype=np.int32) * self.step
        sequence, count = f"{subject}_{action}.{camera}", len(frames)
        side = (box[:, 2:] - box[:, :2]).max(axis=1)
        pictures = f"images/{sequence}_"
        if (features.parent / "Videos" / f"{name}.mp4").is_file() and not has_pictures(features.parents[1] / "images"):
            pictures = f"{subject}/Videos/{name}.mp4/"
        columns = {
            "sample_id": [f"{DATASET}/{split}/{sequence}/{frame}" for frame in frames],
            "image_path": [f"{pictures}{frame + 1:06d}.jpg" for frame in frames],
            "subject": [subject] * count,
            "sequence": [sequence] * count,
            "action": [action] * count,
            "camera_id": [camera] * count,
            "frame": frames,
            "image_size": np.tile(np.array(size, np.int32), (count, 1)),
            "bbox_xyxy": square_boxes((box[:, :2] + box[:, 2:]) / 2, self.box_factor * side / SCALE_PX),
            "keypoints2d": picked(pixels[frames], 2),
            "joints3d": picked(points[frames] / MILLIMETRES, 3),
        }
        return columns, (path, flat, masks)


def action_and_camera(path: Path) -> tuple[str, str]:
    """``Directions 1.54138969.cdf`` → ``Directions_1`` and ``54138969``.

    Raises:
        InputError: a name of another form.
    """
    parts = path.name.split(".cdf")[0].split(".")
    if len(parts) != 2 and parts != ["_ALL"]:
        raise InputError(path, "is not named <action>.<camera>.cdf", "D3_Positions_mono has a file for each camera")
    return parts[0].replace(" ", "_"), parts[-1]


def picked(values: NDArray[np.float64], channels: int) -> NDArray[np.float32]:
    """(F, 32 · channels) → (F, 24, channels + 1): the 17 joints in ``spin24``, with confidence 1."""
    joints = values.reshape(len(values), 32, channels)[:, JOINTS]
    return in_spin24(np.concatenate([joints, np.ones((*joints.shape[:2], 1))], axis=-1), H36M17_SLOTS)


def mask_boxes(path: Path, frames: range) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Boxes (F, 4) x0, y0, x1, y1 px of the masks of some frames, those beyond the last left out; the pictures' size.

    ``Masks`` holds a reference to one (width, height) array per frame; only those asked for are read.

    Raises:
        InputError: missing, damaged, not of this form, or a mask with nothing in it (named).
    """
    boxes: list[list[int]] = []
    size = (0, 0)
    with open_hdf5(path, ["Masks"]) as file:
        references = file["Masks"]
        if references.ndim != 2 or references.dtype.kind != "O":
            raise InputError(path, f"Masks: expected references to masks, got {references.dtype} {references.shape}")
        for frame in frames[: -(-len(references) // frames.step)]:
            mask = np.asarray(file[references[frame, 0]])
            if mask.ndim != 2 or not mask.any():
                raise InputError(f"{path} frame {frame}", f"its mask of shape {mask.shape} is empty")
            columns, rows = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            size = mask.shape[1], mask.shape[0]
    if not boxes:
        raise InputError(path, "has no mask")
    return np.array(boxes, np.float64), size
