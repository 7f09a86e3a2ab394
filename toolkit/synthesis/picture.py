"""Pictures to files. Contact sheets, galleries and overlays are written here."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import write_bytes
from hmrtk.toolkit.records.remote import Place


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an (H, W, 3) RGB or (H, W, 4) RGBA uint8 picture.

    Raises:
        InputError: another shape or dtype.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise InputError("picture", f"expected uint8 (H, W, 3) or (H, W, 4), got {image.dtype} {image.shape}")
    swap = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return bytes(cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(image), swap))[1])


def write_png(path: str | Place, image: NDArray[np.uint8]) -> None:
    """Write a picture atomically as PNG; errors as in ``encode_png`` and ``write_bytes``."""
    write_bytes(path, encode_png(image))
