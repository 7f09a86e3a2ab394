"""Foreground and part segmentation of LSP: the predicted body drawn over the picture, against masks (SPIN, PyMAF §4.2).

In: predictions with a crop camera, LSP's records, and the masks of UPi-S1h; out: ``Segmentation``. SPIN's protocol: the
body is drawn at 224 px with focal length 5000, each pixel of the picture takes the nearest pixel of that drawing, and
pixels are pooled over all pictures. Pixels that the part mask leaves open (255) are taken out of both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.confusion import Confusion
from hmrtk.toolkit.evaluation.keypoints import checked_camera, crop_affines
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.geometry.camera import CROP_SIZE
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.maps.raster import BACKGROUND, rasterize
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.table import RecordTable

PARTS = {
    "left arm": (16, 18, 20, 22),
    "right arm": (17, 19, 21, 23),
    "head": (12, 15),
    "left leg": (1, 4, 7, 10),
    "right leg": (2, 5, 8, 11),
    "torso": (0, 3, 6, 9, 13, 14),
}
"""UPi-S1h's six parts, labels 1 to 6 → SMPL joints whose skinning makes them up. Ours: SPIN's table of faces
(``spin_face_parts``) draws the borders elsewhere, the torso down to the hips."""

OPEN = 255
"""Label of pixels whose part nobody marked."""

FOREGROUND_MASK, PART_MASK = "_segmentation.png", "_part_segmentation.png"
FOLDERS = ("", "lsp", "data/lsp")
"""Where below the folder of masks UPi-S1h keeps those of LSP."""

CHUNK = 64


@dataclass(frozen=True)
class Segmentation:
    """Pixels over all pictures.

    Attributes:
        foreground: background and person.
        parts: background and the six of ``PARTS``; None without part masks.
    """

    foreground: Confusion
    parts: Confusion | None

    def __add__(self, other: Segmentation) -> Segmentation:
        if (self.parts is None) != (other.parts is None):
            raise InputError("segmentation", "only one of the two has parts")
        parts = None if self.parts is None or other.parts is None else self.parts + other.parts
        return Segmentation(self.foreground + other.foreground, parts)

    def summary(self) -> dict[str, float]:
        """Accuracy and mean F1, per cent, as Table 2 of PyMAF has them."""
        named = {"foreground": self.foreground} | ({} if self.parts is None else {"part": self.parts})
        return {
            f"{name}_{score}": 100 * value
            for name, confusion in named.items()
            for score, value in (("accuracy", confusion.accuracy), ("f1", confusion.mean_f1))
        }


def segment(
    records: RecordTable,
    predictions: Predictions,
    body: BodyModel,
    masks: Path,
    face_parts: NDArray[np.uint8] | None = None,
    progress: Progress = silent,
) -> Segmentation:
    """Draw every predicted body over its picture and count pixels.

    Args:
        records: N rows of LSP with boxes.
        predictions: N, of the same rows in the same order, with a camera.
        body: the predictions'.
        masks: folder of ``im1001_segmentation.png`` and ``im1001_part_segmentation.png``, or UPi-S1h's own. Parts are
            judged where the first record has a part mask; then all need one.
        face_parts: (F,) label 1..6 of each face; default: by skinning.

    Raises:
        InputError: a mask that is missing, unreadable or of another form; no box, or no camera.
    """
    folder = next(
        (masks / name for name in FOLDERS if _mask(masks / name, records, 0, FOREGROUND_MASK).is_file()), masks
    )
    with_parts = _mask(folder, records, 0, PART_MASK).is_file()
    to_crop, camera = crop_affines(records, CROP_SIZE), checked_camera(predictions)
    labels = np.concatenate([[0], part_of_faces(body) if face_parts is None else face_parts]).astype(np.uint8)
    found = Segmentation(Confusion.nothing(2), Confusion.nothing(len(PARTS) + 1) if with_parts else None)
    for start in range(0, len(records), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(records)))
        points = project(predictions.take(rows).posed(body).vertices, Projection.crop(camera[rows]))
        drawn = labels[rasterize(points, body.faces, CROP_SIZE) - BACKGROUND]  # the background is -1
        for row, picture in zip(rows.tolist(), drawn, strict=True):
            paths = [_mask(folder, records, row, ending) for ending in (FOREGROUND_MASK, PART_MASK)]
            found += _of_picture(picture, to_crop[row], paths[0], paths[1] if with_parts else None)
        progress(f"segment {predictions.metadata.system}", int(rows[-1]) + 1, len(records))
    return found


def part_of_faces(body: BodyModel) -> NDArray[np.uint8]:
    """(F,) label 1..6 of ``PARTS`` of each face: the part that holds most of its corners' skinning weight."""
    shares = np.stack([body.weights[:, list(joints)].sum(axis=1) for joints in PARTS.values()], axis=1)
    return np.asarray(shares[body.faces].sum(axis=1).argmax(axis=1) + 1, np.uint8)


def spin_face_parts(folder: Path) -> NDArray[np.uint8]:
    """SPIN's own table: ``vertex_texture.npy`` colours each face, ``cube_parts.npy`` names the part of each colour.

    Returns:
        (13776,) label 1..6.

    Raises:
        InputError: a file is missing, or not of this form.
    """
    texture, cube = (_array(folder / name) for name in ("vertex_texture.npy", "cube_parts.npy"))
    if texture.ndim != 6 or texture.shape[2:] != (2, 2, 2, 3) or cube.ndim != 3:
        found = f"{texture.shape} and {cube.shape}"
        raise InputError(folder, f"expected a texture (1, F, 2, 2, 2, 3) and a cube (R, G, B), got {found}")
    colour = np.floor(100 * texture[0, :, 0, 0, 0]).astype(np.int64)  # one colour per face
    if not ((colour >= 0) & (colour < cube.shape)).all():
        raise InputError(folder / "vertex_texture.npy", f"has colours outside the cube of {cube.shape}")
    parts = cube[colour[:, 0], colour[:, 1], colour[:, 2]]
    if not np.isin(parts, np.arange(1, len(PARTS) + 1)).all():
        raise InputError(folder / "cube_parts.npy", "names parts other than 1 to 6 for colours that faces have")
    return np.asarray(parts, np.uint8)


def uncropped(picture: NDArray[np.uint8], to_crop: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A crop's picture (S, S) at the resolution of the image: nearest pixel, 0 outside the crop.

    Args:
        to_crop: (2, 3) full-image px → px of ``picture``; scale and translation only.
        size: (H, W) of the image.
    """
    row, row_inside = _nearest(to_crop[1, 1], to_crop[1, 2], size[0], picture.shape[0])
    column, column_inside = _nearest(to_crop[0, 0], to_crop[0, 2], size[1], picture.shape[1])
    inside = row_inside[:, None] & column_inside
    return np.where(inside, picture[row[:, None], column], 0).astype(np.uint8)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A label picture (H, W) from a PNG of one channel, or of several that are equal.

    Raises:
        InputError: missing, no picture, or colours instead of labels.
    """
    if not path.is_file():
        raise InputError(path, "no such mask", "pass the folder of UPi-S1h's masks")
    picture = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8:
        raise InputError(path, "is not an 8-bit PNG")
    if picture.ndim == 3:
        if (picture[..., :3] != picture[..., :1]).any():
            raise InputError(path, "has colours, expected labels")
        picture = picture[..., 0]
    return np.asarray(picture)


def _of_picture(drawn: NDArray[np.uint8], to_crop: NDArray[np.float64], mask: Path, parts: Path | None) -> Segmentation:
    truth = read_mask(mask) > 0
    predicted = uncropped(drawn, to_crop, truth.shape)
    foreground = Confusion.of(truth.astype(np.uint8), np.minimum(predicted, 1), 2)
    if parts is None:
        return Segmentation(foreground, None)
    labels = read_mask(parts)
    if labels.shape != truth.shape:
        raise InputError(parts, f"is of shape {labels.shape}, {mask.name} of {truth.shape}")
    known = labels != OPEN
    if labels[known].max(initial=0) > len(PARTS):
        raise InputError(parts, f"has label {labels[known].max()}, expected 0 to {len(PARTS)} and {OPEN}")
    return Segmentation(
        foreground, Confusion.of(np.where(known, labels, 0), np.where(known, predicted, 0), len(PARTS) + 1)
    )


def _nearest(scale: float, offset: float, count: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For ``count`` pixels of a line of the image: the crop's pixel that holds its centre, and whether there is one."""
    place = np.floor(scale * (np.arange(count) + 0.5) + offset).astype(np.int64)
    return np.clip(place, 0, size - 1), (place >= 0) & (place < size)


def _mask(folder: Path, records: RecordTable, row: int, ending: str) -> Path:
    path = records.table["image_path"][row].as_py()
    if not path:
        raise InputError(f"{records.place} row {row}", "has no image_path, so its mask cannot be found")
    return folder / f"{PurePosixPath(path).stem}{ending}"


def _array(path: Path) -> NDArray[np.float64]:
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(path, f"is not a readable .npy file: {str(error).splitlines()[0]}") from None
