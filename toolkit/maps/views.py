"""How the body of each record is seen: its camera in the full image, and through the window of a crop or region.

In: records and their crops. Out: ``Views``: bodies and cameras for the rasteriser. IUV sets, shards and panels ask
here, so that all of them see a person alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.geometry.camera import FOCAL_LENGTH, crop_to_full_camera
from hmrtk.toolkit.geometry.crop import compose_affine, invert_affine
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.records.crops import Crops
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.table import RecordTable

CAMERAS = ("crop", "full", "auto")
"""``crop``: the crop camera (s, tx, ty), focal length 5000 px (DaNet, PyMAF); ``full``: ``transl``, ``focal`` and
``principal`` of the record; ``auto``: ``full`` where the record has them, else ``crop``."""


@dataclass(frozen=True)
class Views:
    """The bodies that can be seen, and by which camera.

    Attributes:
        rows: (M,) rows of the records that have a body and such a camera.
        parameters: M bodies; ``transl`` is that of the full camera, and 0 where the crop camera places the body.
        camera: M cameras, metres → px of the full image.
        nearer: (M,) metres to add to a body's depth to compare it with others of its image (``people.moved_nearer``).
    """

    rows: NDArray[np.int64]
    parameters: BodyParameters
    camera: Projection
    nearer: NDArray[np.float64]

    def through(self, window: NDArray[np.floating]) -> Projection:
        """The cameras of windows (M, 2, 3) or (2, 3): full-image px → px of the window's picture."""
        return self.seen(np.arange(len(self.rows)), window)

    def seen(self, which: NDArray[np.integer], window: NDArray[np.floating]) -> Projection:
        """The cameras of some bodies (P,) through windows (P, 2, 3) or (2, 3)."""
        windows = np.broadcast_to(np.asarray(window, np.float64), (len(which), 2, 3))
        return Projection(compose_affine(windows, self.camera.matrix[which]), self.camera.translation[which])


def record_views(records: RecordTable, crops: Crops, camera: str = "auto") -> Views:
    """The views of all records that have a body and a camera.

    Args:
        records: N rows.
        crops: of the same rows (``records.crops.record_crops``).
        camera: one of ``CAMERAS``.

    Raises:
        UnknownNameError: another camera.
    """
    if camera not in CAMERAS:
        raise UnknownNameError("camera", camera, CAMERAS)
    known = records.has("transl", "focal", "principal") & (camera != "crop")
    usable = {"crop": crops.valid, "full": known, "auto": known | crops.valid}[camera]
    rows = np.flatnonzero(records.has(*BODY_COLUMNS) & usable)
    full = known[rows]
    chosen = records.take(rows)
    parameters = chosen.parameters()
    parameters = parameters.replaced(transl=np.where(full[:, None], parameters.transl, 0))
    matrix, translation, nearer = np.empty((len(rows), 2, 3)), np.zeros((len(rows), 3)), np.zeros(len(rows))
    focal, principal = chosen.array("focal")[full], chosen.array("principal")[full]
    matrix[full] = Projection.perspective(focal, principal).matrix
    crop = Projection.crop(crops.camera[rows][~full])
    matrix[~full] = compose_affine(invert_affine(crops.crop_affine()[rows][~full]), crop.matrix)
    translation[~full] = crop.translation
    nearer[~full] = _full_depth(chosen, crops, rows)[~full] - crop.translation[:, 2]
    return Views(rows, parameters, Projection(matrix, translation), nearer)


def _full_depth(chosen: RecordTable, crops: Crops, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) metres in front of a camera of the full image, by CLIFF's conversion of the crop camera (§3.2).

    Its focal length is the record's, else the image's diagonal (CLIFF's guess), else one constant.
    """
    size = chosen.array("image_size").astype(np.float64)  # zeros where there is none
    diagonal = np.hypot(size[:, 0], size[:, 1])
    guess = np.where(diagonal > 0, diagonal, FOCAL_LENGTH)
    focal = np.where(chosen.has("focal"), np.nan_to_num(chosen.array("focal")).mean(axis=1), guess)
    solved = crops.valid[rows]
    camera = np.where(solved[:, None], crops.camera[rows], 1.0)
    return crop_to_full_camera(camera, crops.center[rows], crops.side[rows], size, focal)[:, 2]
