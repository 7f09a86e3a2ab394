"""Dense correspondence: ways on a plane and a sphere, AUC by hand, marks of known bodies, and errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation import dense
from hmrtk.toolkit.evaluation.dense import dense_score, scored, true_points
from hmrtk.toolkit.evaluation.geodesic import SurfaceDistance
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.geometry.crop import apply_affine, invert_affine, square_affine
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.maps.raster import rasterize
from hmrtk.toolkit.maps.surface import SurfacePoints, SurfaceTable
from hmrtk.toolkit.records.dense import DenseTable
from hmrtk.toolkit.records.table import RecordTable

from .conftest import of_system

CAMERA = np.tile(np.float32([0.9, 0.02, 0.2]), (2, 1))
BOX = np.float32([60, 40, 240, 400])


@pytest.fixture
def prepared_once(monkeypatch: pytest.MonkeyPatch, body: BodyModel) -> None:
    """The tables of the surface are made once for several scores."""
    table, distance = SurfaceTable(reference_atlas()), SurfaceDistance(body.v_template, body.faces, 0.1)
    monkeypatch.setattr(dense, "SurfaceTable", lambda *_: table)
    monkeypatch.setattr(dense, "SurfaceDistance", lambda *_: distance)


def _at_corners(vertices: np.ndarray, faces: np.ndarray) -> SurfacePoints:
    """The first corner of a face of every one of ``vertices``."""
    first = [int(np.flatnonzero((faces == v).any(axis=1))[0]) for v in vertices]
    corners = faces[first].astype(np.int32)
    return SurfacePoints(corners, (corners == vertices[:, None]).astype(np.float64))


def test_ways_on_a_plane() -> None:
    n = 21
    y, x = np.mgrid[:n, :n]
    vertices = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3) * 0.01
    a = (y[:-1, :-1] * n + x[:-1, :-1]).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + n], 1), np.stack([a + 1, a + n + 1, a + n], 1)])
    distance = SurfaceDistance(vertices, faces, 0.1)
    rng = np.random.default_rng(0)
    some, others = rng.integers(0, len(vertices), (2, 300))
    found = distance.between(_at_corners(some, faces), _at_corners(others, faces))
    straight = np.linalg.norm(vertices[some] - vertices[others], axis=1)
    near = straight < 0.07
    assert (found[near] >= straight[near] - 1e-6).all()
    assert (found[near] <= 1.09 * straight[near] + 1e-6).all()  # by edges alone it would be 1.41
    assert np.isinf(found[straight > 0.1]).all()
    # Inside one face the line is straight.
    inside = SurfacePoints(faces[:1].astype(np.int32), np.array([[0.2, 0.3, 0.5]]))
    corner = SurfacePoints(faces[:1].astype(np.int32), np.array([[1.0, 0, 0]]))
    assert distance.between(inside, corner)[0] == pytest.approx(0.01 * np.hypot(0.3, 0.5))
    nothing = SurfacePoints(np.zeros((1, 3), np.int32), np.zeros((1, 3)))
    assert np.isinf(distance.between(inside, nothing)).all()
    assert np.isinf(distance.between(nothing, inside)).all()


def test_ways_go_round_a_tube() -> None:
    n, m, radius = 48, 30, 0.05
    angle, height = np.meshgrid(np.arange(n) * 2 * np.pi / n, np.arange(m) * 0.0066)
    vertices = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=-1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(m - 1), np.arange(n), indexing="ij")
    a, right = (i * n + j).ravel(), (i * n + (j + 1) % n).ravel()
    faces = np.concatenate([np.stack([a, right, a + n], 1), np.stack([right, right + n, a + n], 1)])
    distance = SurfaceDistance(vertices, faces, 0.2)
    opposite = distance.between(_at_corners(np.array([0]), faces), _at_corners(np.array([n // 2]), faces))
    assert opposite[0] == pytest.approx(np.pi * radius, rel=0.01)  # not the 0.1 m straight through


def test_the_curve_by_hand() -> None:
    distances = np.array([0.0, 0.05, 0.1, np.inf])
    found = scored(distances, 0.1, 2)
    assert found.auc == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert (found.points, found.missed, found.people) == (4, 1, 2)
    thresholds = np.linspace(0, 0.1, 100_001)
    many = np.random.default_rng(0).uniform(0, 0.2, 50)
    curve = [(many < t).mean() for t in thresholds[::100]]
    assert scored(many).auc == pytest.approx(np.trapezoid(curve, thresholds[::100]) / 0.1, abs=1e-3)
    assert np.isnan(scored(np.zeros(0)).auc)


@pytest.fixture
def upright(body: BodyModel) -> Predictions:
    """Two standing people who face the camera."""
    orient = np.tile([np.pi, 0, 0], (2, 1))
    return replace(of_system(BodyParameters.of(orient, np.zeros((2, 23, 3))), body), camera=CAMERA)


@pytest.fixture
def people(records: RecordTable) -> RecordTable:
    columns = {"sample_id": ["s0", "s1"], "dataset": "d", "split": "s", "bbox_xyxy": np.stack([BOX, BOX])}
    return RecordTable.from_columns(columns, records.metadata)


@pytest.fixture
def marked(upright: Predictions, body: BodyModel) -> DenseTable:
    """Marks on the middles of 60 faces that the first person shows; none on the second."""
    atlas = reference_atlas()
    points = project(upright.posed(body).vertices[:1], Projection.crop(CAMERA[:1], 448))
    seen = np.unique(rasterize(points, body.faces, 448))[1:]
    chosen = np.random.default_rng(0).choice(seen, 60, replace=False)
    rows = [int(np.flatnonzero(atlas.face_index == face)[0]) for face in chosen]
    uv = atlas.corner_uv[atlas.corner_faces[rows]].mean(axis=1)
    side = 1.2 * (BOX[3] - BOX[1])
    to_image = invert_affine(square_affine(((BOX[:2] + BOX[2:]) / 2).astype(float), np.array(side, float), 448))
    pixels = apply_affine(points[0, body.faces[chosen], :2].mean(axis=1), to_image)
    mark = {
        "chart": atlas.chart[rows].tolist(), "u": uv[:, 0].tolist(), "v": uv[:, 1].tolist(),
        "x": pixels[:, 0].tolist(), "y": pixels[:, 1].tolist(),
    }  # fmt: skip
    return DenseTable.from_columns(["s0", "s1"], {"points": [mark, None]}, {}, "marks")


@pytest.mark.usefixtures("prepared_once")
def test_a_perfect_body_meets_the_marks(
    people: RecordTable, marked: DenseTable, upright: Predictions, body: BodyModel
) -> None:
    found = dense_score(people, marked, upright, body, reference_atlas())
    assert (found.points, found.people) == (60, 1)
    assert found.missed <= 1  # a mark at the very edge of the outline
    assert found.auc > 0.93  # half a pixel here, half a level of U and V there
    moved = replace(upright, camera=CAMERA + np.float32([0, 0.04, 0]))
    aside = dense_score(people, marked, moved, body, reference_atlas())
    assert 0.2 < aside.auc < 0.65  # 4 cm of 10
    away = dense_score(people, marked, replace(upright, camera=CAMERA + np.float32([0, 5, 0])), body, reference_atlas())
    assert (away.auc, away.missed) == (0, 60)


def test_marks_become_the_points_of_their_faces(marked: DenseTable, body: BodyModel) -> None:
    marks = marked.points("s0")
    assert marks is not None
    found = true_points(marks, SurfaceTable(reference_atlas()))
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    places = (found.weights[..., None] * body.v_template[found.vertices]).sum(axis=1)
    assert places.shape == (60, 3)
    assert (places[:, 2] > body.v_template[:, 2].min()).all()


def test_errors_name_what_is_wrong(
    people: RecordTable, marked: DenseTable, upright: Predictions, body: BodyModel, records: RecordTable
) -> None:
    none = DenseTable.from_columns(["x"], {"silhouette_path": ["a.png"]}, {}, "marks")
    with pytest.raises(InputError, match="marks: has no surface points of records"):
        dense_score(people, none, upright, body, reference_atlas())
    with pytest.raises(InputError, match="has no cameras"):
        dense_score(people, marked, replace(upright, camera=None), body, reference_atlas())
    with pytest.raises(InputError, match="has no bbox_xyxy"):
        dense_score(records.take([0, 1]), marked, upright, body, reference_atlas())
