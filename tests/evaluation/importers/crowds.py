"""Two people in each of a few pictures of two videos, as records, and what any system would have to say about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.geometry.camera import full_to_crop_camera
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from tests.sources.people import random_people, seen, tight

VIDEOS = ("courtyard_00", "downtown_01")
FRAMES = 4
HEIGHT, WIDTH = 480, 640
FOCAL = float(np.hypot(HEIGHT, WIDTH))
"""px; the picture's diagonal, as CLIFF and WHAM assume."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crowd:
    """N people, two per picture, the pictures of one video after the other.

    Attributes:
        parameters: truth, with ``transl`` before the full camera.
        boxes: (N, 4) tight boxes, px.
        images: (N) paths of the pictures.
        videos: (N) names. frames: (N,) from 0. persons: (N,) 0 stands left, 1 right.
        records: all of it as a table.
    """

    parameters: BodyParameters
    boxes: Floats
    images: list[str]
    videos: list[str]
    frames: NDArray[np.int64]
    persons: NDArray[np.int64]
    records: RecordTable

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def pose(self) -> Floats:
        """(N, 72) axis-angle."""
        return self.parameters.pose.reshape(len(self), 72).astype(np.float64)

    @property
    def matrices(self) -> Floats:
        """(N, 24, 3, 3), by SciPy."""
        return Rotation.from_rotvec(self.pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)

    @property
    def betas(self) -> Floats:
        return self.parameters.betas.astype(np.float64)

    @property
    def transl(self) -> Floats:
        return self.parameters.transl.astype(np.float64)

    def squares(self, expansion: float) -> tuple[Floats, Floats]:
        """Centre (N, 2) and side (N,) of the enlarged boxes."""
        return bbox_to_square(self.boxes, expansion)

    def cameras(self, center: Any, side: Any) -> Floats:
        """(N, 3) crop cameras of some crops that show the people where they are."""
        size = np.tile([HEIGHT, WIDTH], (len(self), 1)).astype(float)
        return np.asarray(full_to_crop_camera(self.transl, center, side, size, np.full(len(self), FOCAL)))

    def record_cameras(self) -> Floats:
        """(N, 3) crop cameras of the records' own crops."""
        return self.cameras(*self.squares(EXPANSION))


def crowd_of(body: BodyModel) -> Crowd:
    """16 people of the reference body."""
    n = 2 * FRAMES * len(VIDEOS)
    persons = np.arange(n) % 2
    frames = np.arange(n) // 2 % FRAMES
    videos = [VIDEOS[row // (2 * FRAMES)] for row in range(n)]
    sideways = np.column_stack([2.0 * persons - 1, np.zeros(n), np.full(n, 6.0)])
    parameters = random_people(body, n, seed=5).parameters.replaced(transl=sideways)
    boxes = tight(seen(body.pose(parameters).vertices.astype(float), FOCAL, (WIDTH / 2, HEIGHT / 2)))
    images = [f"imageFiles/{v}/image_{f:05d}.jpg" for v, f in zip(videos, frames.tolist(), strict=True)]
    columns = {
        "sample_id": [f"3dpw/test/{path}/{p}" for path, p in zip(images, persons.tolist(), strict=True)],
        "dataset": "3dpw",
        "split": "test",
        "sequence": videos,
        "frame": frames.tolist(),
        "image_path": images,
        "image_size": np.tile([HEIGHT, WIDTH], (n, 1)),
        "bbox_xyxy": boxes,
        "gender": "neutral",
        "global_orient": parameters.global_orient,
        "body_pose": parameters.body_pose,
        "betas": parameters.betas,
        "transl": parameters.transl,
    }
    records = RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint))
    return Crowd(parameters, boxes.astype(np.float64), images, videos, frames, persons, records)


def same_bodies(found: BodyParameters, wanted: BodyParameters, body: BodyModel, betas: bool = True) -> None:
    """Both, posed without translation, have their joints in the same places."""
    still = np.zeros((len(wanted), 3))
    if not betas:
        wanted = wanted.replaced(betas=np.zeros((len(wanted), 10)))
    np.testing.assert_allclose(
        body.pose(found.replaced(transl=still)).joints, body.pose(wanted.replaced(transl=still)).joints, atol=2e-5
    )
