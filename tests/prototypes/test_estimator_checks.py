"""scikit-learn's own checks of an estimator. Their data have from one to ten columns; a body has 82.

``Padded`` takes such data as the first columns of bodies and leaves everything else to ``P3DHKMeans``, so that the
checks test its manners and not only its refusal of other widths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClusterMixin
from sklearn.utils.estimator_checks import parametrize_with_checks

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes.estimator import P3DHKMeans

EXPECTED_FAILURES = {
    "check_estimators_unfitted": "raises its own ValueError and AttributeError: scikit-learn is not imported for one",
    "check_estimators_empty_data_messages": "no columns at all are padded here like any that are missing",
}


class Padded(ClusterMixin, P3DHKMeans):
    """``P3DHKMeans`` of data with up to 82 columns: those that are missing are zero."""

    def _bodies(self, array: NDArray[np.float32]) -> BodyParameters:
        missing = max(0, 82 - array.shape[1])
        return super()._bodies(np.pad(array, ((0, 0), (0, missing))))


@parametrize_with_checks(
    [Padded(n_clusters=2, max_iter=3, random_state=0, dims=8, device="cpu")],
    expected_failed_checks=lambda _: EXPECTED_FAILURES,
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)
