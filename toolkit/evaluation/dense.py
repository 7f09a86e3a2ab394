"""Dense correspondence: how far along the surface a predicted body is from the points that people marked (AUC_10).

In: predictions with a crop camera, records, and their side table of surface points (DensePose-COCO); out: the area
under the curve of correct points up to 10 cm (DaNet §5.4.1, after DensePose's pointwise evaluation). DaNet judges the
IUV maps of its network so: ``scored`` takes any two sets of surface points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.geodesic import SurfaceDistance
from hmrtk.toolkit.evaluation.keypoints import checked_camera, crop_affines
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.geometry.camera import CROP_SIZE
from hmrtk.toolkit.geometry.crop import apply_affine
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.kernels import UV_LEVELS
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.maps.raster import BACKGROUND, barycentric, rasterize
from hmrtk.toolkit.maps.surface import SurfacePoints, SurfaceTable
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records import dense as annotation
from hmrtk.toolkit.records.table import RecordTable

AUC_LIMIT_M = 0.10
DRAWN_PX = 2 * CROP_SIZE
"""Side of the crop in which bodies are drawn: half a pixel is 2 mm on a standing person."""

CHUNK = 16


@dataclass(frozen=True)
class DenseScore:
    """Marked points of all people together.

    Attributes:
        auc: mean share of correct points over thresholds from 0 to the limit, 0..1.
        points: marked points.
        missed: of them, those where no predicted body is.
        people: records with marked points.
    """

    auc: float
    points: int
    missed: int
    people: int


def dense_score(
    records: RecordTable,
    marked: annotation.DenseTable,
    predictions: Predictions,
    body: BodyModel,
    atlas: Atlas,
    limit: float = AUC_LIMIT_M,
    progress: Progress = silent,
) -> DenseScore:
    """Judge the drawn bodies at the marked pixels. A pixel without a body is a wrong point.

    Args:
        records: N rows with boxes.
        marked: surface points of some of them.
        predictions: N, of the same rows in the same order, with a camera.
        body: the predictions'.
        atlas: the charts that the marks name; DensePose's own (``UV_Processed.mat``) for DensePose-COCO.
        limit: metres.

    Raises:
        InputError: no record has marked points, one has no box or no camera, or a mark's chart is not in the atlas.
    """
    rows = np.array([i for i, name in enumerate(records.sample_ids) if marked.points(name) is not None], np.int64)
    if not len(rows):
        raise InputError(marked.place, f"has no surface points of {records.place}", "ingest densepose_coco")
    records, predictions = records.take(rows), predictions.take(rows)
    to_crop, camera = crop_affines(records, DRAWN_PX), checked_camera(predictions)
    table, distance = SurfaceTable(atlas), SurfaceDistance(body.v_template, body.faces, limit)
    found = []
    for start in range(0, len(records), CHUNK):
        chunk = np.arange(start, min(start + CHUNK, len(records)))
        points = project(predictions.take(chunk).posed(body).vertices, Projection.crop(camera[chunk], DRAWN_PX))
        face = rasterize(points, body.faces, DRAWN_PX)
        weights = barycentric(points, body.faces, face)
        for i, row in enumerate(chunk.tolist()):
            marks = marked.points(records.sample_ids[row])
            assert marks is not None
            pixels = apply_affine(marks.pixels.astype(np.float64), to_crop[row])
            drawn = _drawn_at(pixels, face[i], weights[i], body.faces)
            found.append(distance.between(true_points(marks, table), drawn))
        progress(f"dense {predictions.metadata.system}", int(chunk[-1]) + 1, len(records))
    return scored(np.concatenate(found), limit, len(records))


def true_points(marks: annotation.SurfacePoints, table: SurfaceTable) -> SurfacePoints:
    """The surface points of P marks, as near as 256 levels of U and V say."""
    uv = np.clip(np.round(UV_LEVELS * np.stack([marks.u, marks.v])), 0, UV_LEVELS)
    found = table.locate(np.concatenate([marks.chart[None], uv]).astype(np.uint8)[:, None])
    return SurfacePoints(found.vertices[0], found.weights[0])


def scored(distances: NDArray[np.float64], limit: float = AUC_LIMIT_M, people: int = 1) -> DenseScore:
    """The score of P distances along the surface, metres; infinite where there is no answer."""
    if not len(distances):
        return DenseScore(float("nan"), 0, 0, people)
    # The share of points nearer than t, averaged over t in 0..limit, is the mean of 1 − d / limit.
    share = np.maximum(0.0, 1 - distances / limit)
    return DenseScore(float(share.mean()), len(distances), int(np.isinf(distances).sum()), people)


def _drawn_at(
    pixels: NDArray[np.float64], face: NDArray[np.int32], weights: NDArray[np.float64], faces: NDArray[np.integer]
) -> SurfacePoints:
    """What a drawn body (S, S) shows at P places (P, 2) px: its surface points, nothing outside and beside it."""
    column, row = np.floor(pixels).astype(np.int64).T
    inside = ((pixels >= 0) & (pixels < len(face))).all(axis=1)
    column, row = (np.clip(index, 0, len(face) - 1) for index in (column, row))
    seen = np.where(inside, face[row, column], BACKGROUND)
    there = (seen != BACKGROUND)[:, None]
    vertices = np.where(there, faces[seen], 0).astype(np.int32)
    return SurfacePoints(vertices, np.where(there, weights[row, column], 0.0))
