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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.picture_files import has_pictures
from hmrtk.toolkit.sources.annotation import H36M17_SLOTS, SCALE_PX, in_spin24, square_boxes
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.cdf import read_poses
from hmrtk.toolkit.sources.matlab import open_hdf5
from hmrtk.toolkit.sources.options import require_positive
from hmrtk.toolkit.sources.picture_table import not_complete

DATASET = "h36m"
SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
JOINTS = (11, 6, 7, 8, 1, 2, 3, 12, 24, 14, 15, 17, 18, 19, 25, 26, 27)
"""Of the 32 joints, the 17 that SPIN takes, in its order."""
MILLIMETRES = 1000.0
FRAME_STEP, BOX_FACTOR = 5, 0.9


@dataclass(frozen=True)
class H36mSource(AnnotationFiles):
    """``Source`` of the raw files; ``sample_id`` is ``h36m/<split>/S9_<action>.<camera>/<frame>``.

    Attributes:
        step: every so many frames are kept.
        cameras: only these; all when empty.
        box_factor: side of the crop over the longer side of the mask's box.
    """

    dataset = DATASET
    regressor = "h36m17"

    step: int = FRAME_STEP
    cameras: tuple[str, ...] = ()
    box_factor: float = BOX_FACTOR

    def __post_init__(self) -> None:
        require_positive(step=self.step, box_factor=self.box_factor)

    def files(self, root: Path) -> dict[str, list[Path]]:
        """Pose files by subject, action and camera; subjects that are not there are passed over."""
        found = {split: [p for s in subjects for p in self._files(root, s)] for split, subjects in SUBJECTS.items()}
        if not any(found.values()):
            raise not_complete(root, "S1 … S11/MyPoseFeatures/D3_Positions_mono/*.cdf", DATASET)
        return {split: paths for split, paths in found.items() if paths}

    def inputs(self, part: SplitFile, columns: Mapping[str, Any]) -> list[Path]:
        """Poses, pixels and masks of a sequence."""
        return [part.path, *beside(part.path)]

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """Frames of one action in one camera."""
        return {name: values[:limit] for name, values in self._sequence(part.path, part.split).items()}

    def _files(self, root: Path, subject: int) -> Iterator[Path]:
        """Pose files of a subject, by name."""
        folder = root / f"S{subject}" / "MyPoseFeatures" / "D3_Positions_mono"
        for path in sorted((*folder.glob("*.cdf"), *folder.glob("*.cdf.mat"))):
            action, camera = action_and_camera(path)
            twice = path.suffix == ".mat" and path.with_suffix("").is_file()
            if action != "_ALL" and not twice and (camera in self.cameras or not self.cameras):
                yield path

    def _sequence(self, path: Path, split: str) -> dict[str, Any]:
        folder, (flat, masks) = path.parents[2], beside(path)
        subject, (action, camera) = folder.name, action_and_camera(path)
        points, pixels = read_poses(path, 96), read_poses(flat, 64)
        if len(points) != len(pixels):
            raise InputError(flat, f"has {len(pixels)} frames, but {path.name} of D3_Positions_mono {len(points)}")
        box, size = mask_boxes(masks, range(0, len(points), self.step))
        frames = np.arange(len(box), dtype=np.int32) * self.step
        sequence, count = f"{subject}_{action}.{camera}", len(frames)
        side = (box[:, 2:] - box[:, :2]).max(axis=1)
        pictures = f"images/{sequence}_"
        video = folder / "Videos" / f"{masks.stem}.mp4"
        if video.is_file() and not has_pictures(folder.parent / "images"):
            pictures = f"{subject}/Videos/{video.name}/"
        return {
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


def beside(path: Path) -> tuple[Path, Path]:
    """The pixels and the masks that belong to a file of poses."""
    features = path.parents[1]
    masks = features.parent / "MySegmentsMat" / "ground_truth_bb" / f"{path.name.split('.cdf')[0]}.mat"
    return features / "D2_Positions" / path.name, masks


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
