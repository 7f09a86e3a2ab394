from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.atlas_seams import atlas_seams
from hmrtk.toolkit.synthesis.atlas_view import FINE, Fragments, body_fragments, chart_fragments


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.mark.parametrize("back", [False, True])
def test_sides_of_the_body(body: BodyModel, back: bool) -> None:
    """Facing us, the right hand is at the left edge and the front charts are seen; from the back, the other way."""
    atlas = reference_atlas()
    seen = body_fragments(body, atlas, atlas_seams(atlas), 120, back)
    assert seen.face.shape[1] == 120 * FINE
    chart = np.where(seen.mask, atlas.chart[seen.face], 0)
    columns = np.broadcast_to(np.arange(chart.shape[1]), chart.shape)
    right, left = columns[chart == 3].mean(), columns[chart == 4].mean()
    assert (right < left) != back
    assert (chart == (1 if back else 2)).sum() > 20 * (chart == (2 if back else 1)).sum()
    np.testing.assert_allclose(seen.weights.sum(axis=-1)[seen.mask], 1)
    assert 0.5 < seen.light[seen.mask].min() < seen.light[seen.mask].max() < 1.1


def test_seams_run_where_charts_meet(body: BodyModel) -> None:
    atlas = reference_atlas()
    seen = body_fragments(body, atlas, atlas_seams(atlas), 200)
    chart = np.where(seen.mask, atlas.chart[seen.face], 0)
    border = (chart[:, 1:] != chart[:, :-1]) & (chart[:, 1:] > 0) & (chart[:, :-1] > 0)
    assert seen.seam[:, 1:][border].mean() > 0.95
    assert seen.seam.mean() < 0.1
    hidden = body_fragments(body, onepiece_atlas(), atlas_seams(onepiece_atlas()), 200)
    behind = body_fragments(body, onepiece_atlas(), atlas_seams(onepiece_atlas()), 200, back=True)
    assert behind.seam.sum() > 2 * hidden.seam.sum()  # the one-piece atlas is cut along the back


def test_charts_lie_as_in_the_maps() -> None:
    atlas = reference_atlas()
    seen = chart_fragments(atlas, atlas_seams(atlas), 2, 40)
    side = 40 * FINE
    uv = seen.uv(atlas)
    rows, cols = np.nonzero(seen.mask)
    np.testing.assert_allclose(uv[rows, cols], (np.column_stack([cols, rows]) + 0.5) / side, atol=1e-6)
    assert (seen.light == 1).all()
    edge = seen.mask & ~(np.roll(seen.mask, 1, 1) & np.roll(seen.mask, -1, 1))
    assert seen.seam[edge].mean() > 0.95


def test_paint_and_labels_by_hand() -> None:
    face = np.zeros((FINE, 2 * FINE), np.int64)
    face[:, FINE:] = -1
    weights = np.zeros((*face.shape, 3))
    weights[:, :FINE] = [0.4, 0.35, 0.25]
    seam = np.zeros(face.shape, bool)
    seen = Fragments(face, weights, np.full(face.shape, 0.5), seam)
    np.testing.assert_array_equal(seen.paint(np.full((*face.shape, 3), 200.0)), [[[100] * 3, [255] * 3]])
    seam[:, FINE:] = True
    assert (seen.paint(np.zeros((*face.shape, 3)))[0, 1] < 40).all()
    # Two corners of label 7 outweigh the single one of label 5, though that corner weighs most.
    labels = seen.labels(np.array([[5, 7, 7]]))
    assert (labels[:, :FINE] == 7).all()
    assert (labels[:, FINE:] == -1).all()
    atlas = Atlas(
        name="one",
        corner_vertices=np.array([0, 1, 2], np.int32),
        corner_uv=np.array([[0, 0], [1, 0], [0, 1]], np.float32),
        corner_faces=np.array([[0, 1, 2]], np.int32),
        face_index=np.array([0], np.int32),
        chart=np.array([1], np.uint8),
        symmetric=False,
    )
    np.testing.assert_allclose(seen.uv(atlas)[0, 0], [0.35, 0.25])
