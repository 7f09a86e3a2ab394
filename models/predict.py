"""Predictions of a trained network: for the rows of shards, and for one photograph.

In: a ``Checkpoint``. Out: ``Predictions``, which evaluation and reports read, or the body and camera in a photograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hmrtk.models.batch import Batch
from hmrtk.models.checkpoint import Checkpoint
from hmrtk.models.data import Rows
from hmrtk.models.validation import Answers, answers
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.geometry.camera import crop_to_full_camera
from hmrtk.toolkit.geometry.crop import bbox_to_square, square_affine, warp_image
from hmrtk.toolkit.progress import Progress, silent

BOX_EXPANSION = 1.2
"""Side of the crop over the longer side of a tight box (SPIN ``demo.py``)."""


@dataclass(frozen=True, eq=False)
class PersonInPhoto:
    """What a network sees in a photograph.

    Attributes:
        parameters: one body; ``transl`` puts it in front of the full image's camera.
        crop_camera: (3,) of the crop.
        focal, principal: (2,) px of the full image's camera.
        square: (3,) centre x, y and side of the crop, px.
        crop: (S, S, 3) uint8 what the network was shown.
        prototype: the likeliest one, or None.
    """

    parameters: BodyParameters
    crop_camera: NDArray[np.float32]
    focal: NDArray[np.float64]
    principal: NDArray[np.float64]
    square: NDArray[np.float64]
    crop: NDArray[np.uint8]
    prototype: int | None


def predict_rows(
    checkpoint: Checkpoint, rows: Rows, system: str, device: torch.device | str = "cpu", progress: Progress = silent
) -> tuple[Predictions, Answers]:
    """Predict for every row once.

    Args:
        system: name of the system in tables.
        device: where to run.

    Raises:
        InputError: no rows, or answers that are not finite.
    """
    network = checkpoint.network.to(device)
    size = checkpoint.config.data.batch

    def told() -> Any:
        done = 0
        for batch in rows.once(size, None):
            yield batch
            done += len(batch)
            progress("predict", done, rows.count)

    found = answers(network, told(), device)
    provenance = {"command": "predict", "checkpoint": checkpoint.fingerprint, "network": checkpoint.config.network,
                  "prototypes": checkpoint.prototypes.fingerprint, **checkpoint.about.get("inputs", {})}  # fmt: skip
    metadata = PredictionsMetadata(system=system, body=checkpoint.about["body"], provenance=provenance)
    chosen = found.prototype.astype(np.int32) if (found.prototype >= 0).all() else None
    return Predictions(found.names, found.parameters, metadata, found.camera, prototype=chosen), found


def predict_photo(
    checkpoint: Checkpoint,
    image: NDArray[np.uint8],
    bbox: tuple[float, float, float, float] | None = None,
    focal: float | None = None,
    device: torch.device | str = "cpu",
) -> PersonInPhoto:
    """Predict the person in a box of a photograph.

    Args:
        image: (H, W, 3) uint8 RGB.
        bbox: x0, y0, x1, y1 px, tight round the person; None takes the whole picture.
        focal: px of the photograph's camera; None takes √(H² + W²) as CLIFF does (§3.2).

    Raises:
        InputError: an empty box, one outside the picture, or a focal length that is not positive.
    """
    height, width = image.shape[:2]
    box = np.array((0, 0, width, height) if bbox is None else bbox, np.float64)
    _check_box(box, width, height)
    if focal is not None and not 0 < focal < np.inf:
        raise InputError("focal length", f"expected a positive number of px, got {focal}")
    center, side = bbox_to_square(box, BOX_EXPANSION if bbox is not None else 1.0)
    size = checkpoint.config.data.size
    crop = warp_image(image, square_affine(center, side, size), size)
    unknown = {
        "image": torch.from_numpy(crop.copy()).permute(2, 0, 1)[None], "keypoints2d": torch.zeros(1, 24, 3),
        "global_orient": torch.full((1, 3), torch.nan), "body_pose": torch.full((1, 23, 3), torch.nan),
        "betas": torch.full((1, 10), torch.nan), "sample_id": ["photograph"],
    }  # fmt: skip
    found = answers(checkpoint.network.to(device), [Batch.of(unknown)], device)
    length = float(np.hypot(height, width)) if focal is None else float(focal)
    lengths = np.array([length, length])
    transl = crop_to_full_camera(
        found.camera[0].astype(np.float64), center, side, np.array([height, width]), np.array(length)
    )
    return PersonInPhoto(
        found.parameters.replaced(transl=transl[None]),
        found.camera[0],
        lengths,
        np.array([width / 2, height / 2]),
        np.array([*center, side]),
        crop,
        int(found.prototype[0]) if found.prototype[0] >= 0 else None,
    )


def _check_box(box: NDArray[np.float64], width: int, height: int) -> None:
    x0, y0, x1, y1 = box
    if not np.isfinite(box).all() or x1 <= x0 or y1 <= y0:
        raise InputError("bbox", f"{', '.join(f'{v:g}' for v in box)} is empty", "expected x0,y0,x1,y1 in px")
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise InputError("bbox", f"lies outside the picture of {width} × {height} px")
