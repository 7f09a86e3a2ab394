from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SMPL_FLIP, SMPL_NAMES
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.charts import CHART_NAMES, MIRROR_CHART
from hmrtk.toolkit.maps.partial_charts import KEPT_CHARTS, KEPT_MASK, VISIBILITY_CHARTS, VISIBILITY_MASK

MASKS = {"kept": KEPT_MASK, "visibility": VISIBILITY_MASK}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_tables_are_left_right_symmetric(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(mask[list(SMPL_FLIP)][:, MIRROR_CHART], mask)
    assert not mask[:, 0].any()


def test_masks_say_what_the_lists_say() -> None:
    for joint in range(24):
        assert set(np.flatnonzero(KEPT_MASK[joint])) == set(KEPT_CHARTS[joint])
        assert set(np.flatnonzero(VISIBILITY_MASK[joint])) == set(VISIBILITY_CHARTS[joint])
        assert len(set(VISIBILITY_CHARTS[joint])) == len(VISIBILITY_CHARTS[joint])
    assert not (VISIBILITY_MASK & ~KEPT_MASK).any()


def test_a_limb_s_joint_keeps_charts_of_its_own_side() -> None:
    for joint, name in enumerate(SMPL_NAMES):
        side, _, _ = name.partition("_")
        if side in ("left", "right"):
            kept = {CHART_NAMES[chart].partition(" ")[0] for chart in KEPT_CHARTS[joint]}
            assert kept <= {side, "torso"}, name


def test_charts_are_those_that_touch_the_joint(body: BodyModel) -> None:
    """On the reference body in the T-pose: the kept charts hold the surface that the joint moves, and the visibility
    charts are those of the rule that ``VISIBILITY_CHARTS`` states, but for the exceptions that it states."""
    near, moved = _shares(body)
    assert (np.where(KEPT_MASK, moved, 0).sum(axis=1) > 0.85).all()
    rule = (near >= 0.06) | (moved >= 0.10)
    torso, left_leg, right_leg = [1, 2], [12, 14], [11, 13]
    without_torso = [SMPL_NAMES.index(f"{side}_{n}") for n in ("hip", "shoulder") for side in ("left", "right")]
    for joint in (*without_torso, SMPL_NAMES.index("neck"), SMPL_NAMES.index("head")):
        rule[joint, torso] = False
    for name, charts in (("left_foot", left_leg), ("right_foot", right_leg)):
        rule[SMPL_NAMES.index(name), charts] = True
    np.testing.assert_array_equal(rule, VISIBILITY_MASK)


def _shares(body: BodyModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(24, 25) each chart's share of the surface within 15 cm of each joint, and of the surface the joint moves."""
    atlas, posed = reference_atlas(), body.pose(BodyParameters.zeros(1))
    corners = posed.vertices[0].astype(np.float64)[atlas.vertices_faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    distance = np.linalg.norm(corners.mean(axis=1)[:, None] - posed.joints[0], axis=-1)  # (F, 24)
    moved = body.weights[atlas.vertices_faces].mean(axis=1)
    shares = []
    for weight in (distance < 0.15, moved):
        total = np.stack([np.bincount(atlas.chart, area * weight[:, k], 25) for k in range(24)])
        shares.append(total / total.sum(axis=1, keepdims=True))
    return shares[0], shares[1]
