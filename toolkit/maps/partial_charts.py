"""Which charts a partial IUV map keeps around each joint, and which of them say that the joint is seen.

Tables over SMPL's 24 joints in their usual order (``body.joints.SMPL_NAMES``), in DensePose's numbering of charts
(``charts``). Read by ``partial_rois`` and ``partial``. Both tables are left-right symmetric as sets: the row of the
mirrored joint holds the mirrored charts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.maps.charts import CHART_COUNT

JOINT_COUNT = 24
KEPT_COUNT = 6

_TRUNK = (7, 8, 9, 10, 1, 2)
_LEFT_LEG, _RIGHT_LEG = (1, 2, 8, 10, 12, 14), (1, 2, 7, 9, 11, 13)
_LEFT_FOOT, _RIGHT_FOOT = (8, 10, 12, 14, 5, 5), (7, 9, 11, 13, 6, 6)
_HEAD = (1, 2, 23, 24, 23, 24)
_LEFT_ARM, _RIGHT_ARM = (1, 2, 15, 17, 19, 21), (1, 2, 16, 18, 20, 22)
_LEFT_HAND, _RIGHT_HAND = (15, 17, 19, 21, 4, 4), (16, 18, 20, 22, 3, 3)

KEPT_CHARTS = np.array(
    [
        *(_TRUNK, _LEFT_LEG, _RIGHT_LEG, _TRUNK, _LEFT_LEG, _RIGHT_LEG, _TRUNK, _LEFT_FOOT, _RIGHT_FOOT, _TRUNK),
        *(_LEFT_FOOT, _RIGHT_FOOT, _HEAD, _LEFT_ARM, _RIGHT_ARM, _HEAD, _LEFT_ARM, _RIGHT_ARM, _LEFT_ARM, _RIGHT_ARM),
        *(_LEFT_HAND, _RIGHT_HAND, _LEFT_HAND, _RIGHT_HAND),
    ],
    np.uint8,
)
"""(24, 6) the charts that a simplified partial map keeps (DaNet §4.1; the sets are those of its published code, which
pads the joints with fewer than six by repeating a chart)."""

VISIBILITY_CHARTS: tuple[tuple[int, ...], ...] = (
    *((1, 2), (8, 10), (7, 9), (1, 2), (8, 10, 12, 14), (7, 9, 11, 13), (1, 2), (5, 12, 14), (6, 11, 13), (1, 2)),
    *((5, 12, 14), (6, 11, 13), (23, 24), (1, 2, 15, 17), (1, 2, 16, 18), (23, 24), (15, 17), (16, 18)),
    *((15, 17, 19, 21), (16, 18, 20, 22), (4, 19, 21), (3, 20, 22), (4, 19, 21), (3, 20, 22)),
)
"""Charts of which a pixel in its RoI says that the joint is seen; row = joint, all of them among the kept charts.

Those of the pelvis, the knees and the hands are DaNet's code's. The others are derived from the reference body in the
T-pose by the rule that gives these three as well: charts with at least 6 % of the surface within 15 cm of the joint,
or with at least 10 % of the skin that the joint moves, except that

* the torso does not count for hips, shoulders, neck and head: it touches them and does not move with them, so a
  person cut at the waist, say, shows a torso and nothing of how the hips are turned;
* a foot counts its lower leg, as a hand does its lower arm.
"""

KEPT_MASK = np.zeros((JOINT_COUNT, CHART_COUNT + 1), np.bool_)
"""(24, 25) joint, chart → whether it is kept; the background never is."""
np.put_along_axis(KEPT_MASK, KEPT_CHARTS.astype(np.int64), True, axis=1)

VISIBILITY_MASK: NDArray[np.bool_] = np.zeros_like(KEPT_MASK)
"""(24, 25) joint, chart → whether it counts for the joint's visibility."""
for _joint, _charts in enumerate(VISIBILITY_CHARTS):
    VISIBILITY_MASK[_joint, list(_charts)] = True
