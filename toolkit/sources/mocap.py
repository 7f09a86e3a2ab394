"""A folder of motion-capture files becomes records: sub-sampled in time, put before a virtual camera.

In: a folder and the reader of one format; out: one record table per split. The person keeps the file's own heading; the
camera stands level in front of the world's +z, 5 m from the pelvis, and follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BETA_COUNT, BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.artefact import file_fingerprint, provenance
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.options import require_positive
from hmrtk.toolkit.sources.retarget import Floats, Motion

SPLITS = ("train", "val", "test")
BEHIND_CAMERA = np.diag([1.0, -1.0, -1.0])
"""World (x left, y up, z to the front) → camera (x right, y down, z forward), for a camera that looks at the front."""


@dataclass(frozen=True)
class MocapConfig:
    """How motion becomes records.

    Attributes:
        fps: records per second of motion; a slower recording keeps all its frames.
        distance: metres from the camera to the pelvis.
        focal: px.
        image_size: height, width in px; nobody takes the picture, but boxes and keypoints need a frame.
    """

    fps: float = 10.0
    distance: float = 5.0
    focal: float = 800.0
    image_size: tuple[int, int] = (480, 640)

    def __post_init__(self) -> None:
        height, width = self.image_size
        require_positive(fps=self.fps, distance=self.distance, focal=self.focal, image_size=min(height, width))


@dataclass(frozen=True)
class MocapSource:
    """``Source`` of a mocap format.

    Attributes:
        dataset: name of the dataset, the first part of every ``sample_id``.
        suffixes: file endings of the format, lower case.
        read: reads one file into SMPL poses.
        config: sampling and camera.
        action: names the action of a file by its path below the root.
        skipped: names of files that have such an ending and no motion.
    """

    dataset: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], Motion]
    config: MocapConfig = MocapConfig()
    action: Callable[[Path], str] = field(default_factory=lambda: action_of)
    skipped: tuple[str, ...] = ()

    def ingest(
        self,
        root: Path | None,
        body: BodyModel,
        *,
        seed: int = 0,
        limit: int | None = None,
        progress: Progress = silent,
    ) -> dict[str, RecordTable]:
        """Records of all files below ``root``.

        A folder called train, val or test on the way to a file names its split (otherwise train); the folder of a file
        names its action (otherwise the file's name without trailing digits). Shapes are those of the files where these
        have any; joints, keypoints and boxes are those of ``body`` in that shape, whatever the gender.

        Args:
            root: a folder, or one file.
            body: the body that joints, keypoints and boxes are computed for.
            seed: unused, nothing here is random.
            limit: at most so many records per split.

        Raises:
            InputError: no such folder, no file of this format in it, or a file that cannot be read.
        """
        if root is None:
            raise InputError(f"dataset {self.dataset}", "the folder of its files is not given", "pass --root DIR")
        if limit is not None and limit < 1:
            raise InputError("limit", f"expected at least 1 row, got {limit}")
        files = self._files(root)
        base = root if root.is_dir() else root.parent
        parts: dict[str, list[dict[str, Any]]] = {}
        inputs: dict[str, str] = {}
        for done, path in enumerate(files):
            relative = path.relative_to(base)
            split = split_of(relative)
            mine = parts.setdefault(split, [])
            if limit is None or sum(len(part["frame"]) for part in mine) < limit:
                mine.append(self._rows(path, relative, split))
                inputs[relative.as_posix()] = file_fingerprint(path)
            progress("read", done + 1, len(files), relative.as_posix())
        return {split: self._table(mine, split, body, limit, inputs, progress) for split, mine in parts.items()}

    def _files(self, root: Path) -> list[Path]:
        if root.is_file():
            return [root]
        if not root.is_dir():
            raise InputError(root, "no such file or directory")
        named = (p for p in root.rglob("*") if p.suffix.lower() in self.suffixes and p.name not in self.skipped)
        files = sorted(p for p in named if p.is_file())
        if not files:
            raise InputError(
                root,
                f"has no {' or '.join(self.suffixes)} file",
                f"pass --root the folder of your {self.dataset} files",
            )
        return files

    def _rows(self, path: Path, relative: Path, split: str) -> dict[str, Any]:
        """Columns of one file that do not depend on the body."""
        motion = self.read(path)
        frames, pose = motion.sampled(self.config.fps)
        betas = np.zeros(BETA_COUNT) if motion.betas is None else motion.betas
        sequence = relative.with_suffix("").as_posix()
        return {
            "sample_id": [f"{self.dataset}/{sequence}/{frame}" for frame in frames.tolist()],
            "sequence": [sequence] * len(frames),
            "action": [self.action(relative)] * len(frames),
            "gender": [motion.gender] * len(frames),
            "frame": frames,
            "pose": before_camera(pose),
            "betas": np.tile(betas, (len(frames), 1)),
        }

    def _table(
        self,
        parts: list[dict[str, Any]],
        split: str,
        body: BodyModel,
        limit: int | None,
        inputs: dict[str, str],
        progress: Progress,
    ) -> RecordTable:
        from hmrtk.toolkit.sources.projection import derived_columns

        names = ("sample_id", "sequence", "action", "gender")
        strings = {name: [value for part in parts for value in part[name]][:limit] for name in names}
        frame = np.concatenate([part["frame"] for part in parts])[:limit]
        pose = np.concatenate([part["pose"] for part in parts])[:limit]
        betas = np.concatenate([part["betas"] for part in parts])[:limit]
        n, size = len(pose), self.config.image_size
        parameters = BodyParameters.of(pose[:, 0], pose[:, 1:], betas)
        pelvis = body.joints(parameters)[:, 0]
        parameters = parameters.replaced(transl=np.array([0.0, 0.0, self.config.distance]) - pelvis)
        camera: dict[str, Any] = {
            "focal": np.full((n, 2), self.config.focal, np.float32),
            "principal": np.tile(np.array([size[1] / 2, size[0] / 2], np.float32), (n, 1)),
            "image_size": np.tile(np.array(size, np.int32), (n, 1)),
        }
        place = f"{self.dataset} {split}"
        columns = {
            **strings,
            **camera,
            "dataset": self.dataset,
            "split": split,
            "frame": frame,
            "camera_id": "virtual",
            "global_orient": parameters.global_orient,
            "body_pose": parameters.body_pose,
            "betas": parameters.betas,
            "transl": parameters.transl,
            "body_source": "mocap",
            **derived_columns(parameters, body, **camera, place=place, progress=progress),
        }
        config = {"dataset": self.dataset, "limit": limit, **asdict(self.config)}
        made = provenance("ingest", config, body.fingerprint, inputs, None)
        return RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint, provenance=made), place)


def before_camera(pose: Floats) -> Floats:
    """Poses (T, 24, 3) in a y-up world → the same with the root in the camera frame."""
    turned = pose.copy()
    turned[:, 0] = rotmat_to_axis_angle(BEHIND_CAMERA @ axis_angle_to_rotmat(pose[:, 0]))
    return turned


def split_of(relative: Path) -> str:
    """train, val or test: the first folder with such a name, else train."""
    return next((part.lower() for part in relative.parts[:-1] if part.lower() in SPLITS), "train")


def action_of(relative: Path) -> str:
    """The folder of a file unless it names a split or is a number; else the file's name without trailing digits."""
    folders = [part for part in relative.parts[:-1] if part.lower() not in SPLITS and not part.isdigit()]
    return folders[-1] if folders else relative.stem.rstrip("0123456789_- ") or relative.stem
