"""The picture of a row: its photograph cut to the region, or a synthesised one.

In: an image path and a region, or a posed body and its camera. Out: encoded JPEG. Used by the composer.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import warp_image
from hmrtk.toolkit.records.picture_files import CHECK_ROOT, PictureFile, PictureFolder, stands_for_a_folder
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.codec import decode_image, encode_jpeg
from hmrtk.toolkit.synthesis.scene import SceneConfig, synthesise


class PhotoReader:
    """Reads photographs below a root; the last one stays decoded, for the next person in it.

    Args:
        root: what image paths are relative to: a folder, or an archive or video (``records.picture_files``).
    """

    def __init__(self, root: Place) -> None:
        self.root = root
        self._folder = PictureFolder(root)
        self._last: tuple[str, NDArray[np.uint8]] | None = None

    def path(self, image_path: str, place: str) -> PictureFile:
        """Where a photograph lies, or would lie: a file, a member of an archive or a frame of a video.

        Raises:
            InputError: the path leaves the root.
        """
        return self._folder.find(image_path, place)

    def region(self, image_path: str, affine: NDArray[np.floating], size: int, place: str) -> bytes:
        """The region of a photograph as JPEG (size, size); black outside the photograph.

        Args:
            affine: (2, 3) full-image px → region px.
            place: the row, for messages.

        Raises:
            InputError: missing, truncated or no picture, with the row and what to do.
        """
        return encode_jpeg(warp_image(self.photograph(image_path, place), affine, size))

    def photograph(self, image_path: str, place: str) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, the whole photograph; errors as in ``region``."""
        if self._last is None or self._last[0] != image_path:
            self._last = (image_path, self._read(image_path, place))
        return self._last[1]

    def _read(self, image_path: str, place: str) -> NDArray[np.uint8]:
        picture = self.path(image_path, place)
        try:
            data = picture.read()
        except InputError as error:
            remedy = error.remedy if error.remedy not in ("", CHECK_ROOT) else "check --images, or ask for --synthesise"
            raise InputError(place, f"photograph {picture}: {error.problem}", remedy) from None
        return data if isinstance(data, np.ndarray) else decode_image(data, f"{place}: photograph {picture}")


def require_image_folder(images: Place | None) -> None:
    """Refuse a place for photographs that is no folder, archive or video; None is no place.

    Raises:
        InputError: naming it.
    """
    if images is not None and not images.is_dir() and not (stands_for_a_folder(images.name) and images.is_file()):
        raise InputError(images, "no such image folder")


def row_generator(seed: int, sample_id: str) -> np.random.Generator:
    """The generator of one row's picture: depends on the seed and the ``sample_id``, not on order or shard."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(sample_id.encode()).digest()[:8], "big")])


def synthesised(
    vertices_cam: NDArray[np.floating],
    camera: NDArray[np.floating],
    size: int,
    body: BodyModel,
    rng: np.random.Generator,
    config: SceneConfig,
) -> tuple[bytes, str]:
    """A synthesised region as JPEG, and its appearance as JSON.

    Args:
        vertices_cam: (6890, 3) metres in front of the camera.
        camera: (2, 3) of (X/Z, Y/Z, 1) → region px, without rotation or shear.
    """
    focal, principal = np.diagonal(camera[:, :2]), camera[:, 2]
    scene = synthesise(vertices_cam, focal, principal, size, body, rng, config)
    return encode_jpeg(scene.image), json.dumps(_plain(scene.appearance), sort_keys=True)


def _plain(value: Any) -> Any:
    """JSON values of nested dicts that may hold NumPy scalars and arrays."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
