from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.maps.slices import over_slices


@pytest.mark.parametrize("threads", [None, 1, 3, 50])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_every_row_is_visited_once(count: int, threads: int | None) -> None:
    visits = np.zeros(count, int)

    def work(first: int, last: int) -> None:
        visits[first:last] += 1

    over_slices(work, count, threads)
    np.testing.assert_array_equal(visits, 1)


def test_an_error_in_a_slice_reaches_the_caller() -> None:
    def work(first: int, last: int) -> None:
        if first <= 5 < last:
            raise ValueError("row 5")

    with pytest.raises(ValueError, match="row 5"):
        over_slices(work, 10, threads=2)
