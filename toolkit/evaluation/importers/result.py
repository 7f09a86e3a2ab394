"""``SystemResult``: what a file of another system says, before anybody knows which record each row is of.

The modules of the formats make it; ``matching`` finds the records, ``cameras`` converts the camera, ``imported`` writes
``Predictions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CropCamera:
    """Weak-perspective cameras of the crops that a system saw.

    Attributes:
        values: (N, 3) = (s, tx, ty), x = s·(X + t) in the crop's [−1, 1], t in metres.
        center: (N, 2) px of the full image, or None: the crop is centred on the record's box.
        side: (N,) px of the full image; None with ``center``, then ``expansion`` × the record's box.
    """

    values: Floats
    center: Floats | None = None
    side: Floats | None = None


@dataclass(frozen=True, eq=False)
class FullCamera:
    """Places of bodies before the camera of the full image, whose principal point is the image's middle.

    Attributes:
        translation: (N, 3) metres, SMPL's ``transl``.
        focal: (N,) px; NaN stands for the image's diagonal √(w² + h²).
        image_size: (N, 2) height and width px; NaN where only the record knows.
    """

    translation: Floats
    focal: Floats
    image_size: Floats


@dataclass(frozen=True, eq=False)
class SystemResult:
    """N bodies of one system.

    Attributes:
        parameters: in the camera frame (x right, y down, z forward), without translation; axis-angle, radians.
        place: the file, for error messages.
        names: (N) what messages call each row, e.g. ``person 2 frame 17``.
        ids: (N) ``sample_id`` of the records, where a file has them.
        images: (N) names of pictures, as the file has them.
        frames: (N,) numbers of frames in a video, from 0.
        video: (N) name of the video; None where the file does not say.
        boxes: (N, 4) x0, y0, x1, y1 px of the full image.
        camera: of the crop or of the full image.
        joints3d: (N, J, 3) metres from the body's own origin, in ``joint_set``.
        notes: what a reader of the numbers has to know.
        broken: row that holds no body → why; its parameters are zeros.
    """

    parameters: BodyParameters
    place: str
    names: list[str]
    ids: list[str] | None = None
    images: list[str] | None = None
    frames: NDArray[np.int64] | None = None
    video: list[str | None] | None = None
    boxes: Floats | None = None
    camera: CropCamera | FullCamera | None = None
    joints3d: Floats | None = None
    joint_set: str = "smpl24"
    notes: tuple[str, ...] = ()
    broken: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.parameters)

    @classmethod
    def concatenate(cls, parts: Sequence[SystemResult], place: str) -> SystemResult:
        """The rows of several files, or of the people of one, one after the other.

        Raises:
            InputError: one has what another lacks.
        """
        values: dict[str, Any] = {
            "parameters": BodyParameters.concatenate([part.parameters for part in parts]),
            "place": place,
            "names": [name for part in parts for name in part.names],
            "joint_set": parts[0].joint_set,
            "notes": tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            "broken": {
                first + row: why
                for first, part in zip(np.cumsum([0, *map(len, parts)]).tolist(), parts, strict=False)
                for row, why in part.broken.items()
            },
        }
        for name in ("ids", "images", "video", "frames", "boxes", "camera", "joints3d"):
            values[name] = _joined(parts, name, [getattr(part, name) for part in parts])
        return cls(**values)


def _joined(parts: Sequence[SystemResult], name: str, values: list[Any]) -> Any:
    """One value of the values of all parts: lists and arrays in a row, cameras field by field."""
    lacking = [value is None for value in values]
    if all(lacking):
        return None
    if any(lacking):
        raise InputError(
            parts[lacking.index(True)].place,
            f"has no {name}, but {parts[lacking.index(False)].place} has",
            "import them apart",
        )
    if isinstance(values[0], list):
        return [item for value in values for item in value]
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    kind = type(values[0])
    return kind(**{f.name: _joined(parts, name, [getattr(v, f.name) for v in values]) for f in fields(kind)})
