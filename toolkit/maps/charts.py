"""The charts of DensePose's atlas: numbers, names, mirror list and groups. Nobody else writes a 24 or a mirror list.

Charts are 1..24 and 0 is the background (DensePose, R. A. Güler et al., CVPR 2018); they are not SMPL's 24 parts.
"""

from __future__ import annotations

import numpy as np

CHART_COUNT = 24
CHART_NAMES = (
    *("background", "torso back", "torso front", "right hand", "left hand", "left foot", "right foot"),
    *("right upper leg back", "left upper leg back", "right upper leg front", "left upper leg front"),
    *("right lower leg back", "left lower leg back", "right lower leg front", "left lower leg front"),
    *("left upper arm front", "right upper arm front", "left upper arm back", "right upper arm back"),
    *("left lower arm front", "right lower arm front", "left lower arm back", "right lower arm back"),
    *("right head", "left head"),
)
"""Names of charts 0..24 in DensePose's numbering."""

MIRROR_CHART = np.array(
    [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23], np.uint8
)
"""(25,) chart → chart of the mirrored body."""

CHART_GROUPS = (
    *((0,), (1, 2), (3,), (4,), (5,), (6,), (7, 9), (8, 10), (11, 13), (12, 14)),
    *((15, 17), (16, 18), (19, 21), (20, 22), (23, 24)),
)
"""The 15 classes that the 25 charts are annotated with ("Ann" index of DensePose); row = class, entries = charts."""

GROUP_OF_CHART = np.zeros(CHART_COUNT + 1, np.uint8)
"""(25,) chart → class 0..14 of ``CHART_GROUPS``."""
for _group, _charts in enumerate(CHART_GROUPS):
    GROUP_OF_CHART[list(_charts)] = _group

MIRROR_GROUP = np.array([0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14], np.uint8)
"""(15,) class → class of the mirrored body."""
