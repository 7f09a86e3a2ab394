"""PyMAF's ``output.pkl`` (``demo.py`` on a video): VIBE's layout without ``joints2d_img_coord``.

Traps, and what is done about them:

- Until 2021-04-28 ``demo.py`` cut its (betas, pose) as if it were (pose, betas): ``pose`` starts with the 10 betas, and
  ``betas`` are the last 10 numbers of the pose. Nothing in the file says so: such files are refused where the root does
  not turn, and ``pymaf_pkl_mixed`` reads them.
- PyMAF crops exactly ``bboxes``; VIBE 1.1 × as much.
"""

from __future__ import annotations

from pathlib import Path

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.importers.result import SystemResult
from hmrtk.toolkit.evaluation.importers.vibe_pkl import tracks

EXPECTED = "results of PyMAF's video demo"


def pymaf_pkl(path: Path, body: BodyModel) -> SystemResult:
    """Results of all people, one track after the other; errors as in ``vibe_pkl.tracks``."""
    return tracks(path, EXPECTED, expansion=1.0)


def pymaf_pkl_mixed(path: Path, body: BodyModel) -> SystemResult:
    """The same of a file with ``pose`` and ``betas`` mixed up."""
    return tracks(path, EXPECTED, expansion=1.0, mixed=True)
