"""BodyParameters: shapes, slicing, checks."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError


def some(n: int) -> BodyParameters:
    rng = np.random.default_rng(0)
    return BodyParameters.of(rng.normal(size=(n, 3)), rng.normal(size=(n, 69)), rng.normal(size=(n, 10)))


def test_flat_pose_is_folded_and_transl_defaults_to_zero() -> None:
    bodies = some(5)
    assert bodies.body_pose.shape == (5, 23, 3)
    assert bodies.pose.shape == (5, 24, 3)
    assert not bodies.transl.any()
    assert bodies.betas.dtype == np.float32


def test_slicing_and_concatenating() -> None:
    bodies = some(5)
    again = BodyParameters.concatenate([bodies[:2], bodies[[2, 3]], bodies[np.arange(5) == 4]])
    np.testing.assert_array_equal(again.pose, bodies.pose)
    assert len(bodies[:0]) == 0


def test_wrong_shape_says_expected_and_got() -> None:
    with pytest.raises(InputError, match=r"body_pose: expected shape \(2, 23, 3\), got \(2, 24, 3\)"):
        BodyParameters.of(np.zeros((2, 3)), np.zeros((2, 24, 3)))


def test_replaced_changes_one_array() -> None:
    moved = some(2).replaced(transl=np.ones((2, 3)))
    assert moved.transl.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_check_names_the_first_bad_row() -> None:
    bodies = some(3)
    bodies.check("file")
    bodies.body_pose[1, 0, 0] = np.inf
    with pytest.raises(InputError, match="file row 1: body_pose has NaN or infinite"):
        bodies.check("file")
    zeros = BodyParameters.zeros(2)
    zeros.betas[1, 3] = -50
    with pytest.raises(InputError, match=r"file row 1: \|betas\| reaches 50.0, expected at most 20"):
        zeros.check("file")
