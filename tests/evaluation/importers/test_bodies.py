"""Poses and shapes in the usual forms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import (
    axis_angles,
    body_parameters,
    rows_of,
    same_count,
    ten_betas,
    torchgeometry_axis_angles,
)

POSE = np.random.default_rng(0).normal(0, 0.5, (3, 24, 3))
MATRICES = Rotation.from_rotvec(POSE.reshape(-1, 3)).as_matrix().reshape(3, 24, 3, 3)


@pytest.mark.parametrize(
    "given", [POSE, POSE.reshape(3, 72), POSE.reshape(3, 72).tolist(), MATRICES, MATRICES.reshape(3, 216)]
)
def test_every_form_of_a_pose_is_the_same(given: object) -> None:
    np.testing.assert_allclose(axis_angles(given, "pose", "f"), POSE, atol=1e-12)


def test_a_half_turn_survives() -> None:
    half = np.tile(np.diag([1.0, -1, -1]), (1, 24, 1, 1))
    np.testing.assert_allclose(np.abs(axis_angles(half, "pose", "f")), np.tile([np.pi, 0, 0], (1, 24, 1)), atol=1e-12)


def test_bad_poses_are_refused() -> None:
    def refused(match: str, value: object) -> None:
        with pytest.raises(InputError, match=match):
            axis_angles(value, "pose", "f.npz")

    refused(r"^f\.npz: pose has shape \(3, 69\), expected \(3, 72\) or \(3, 24, 3, 3\)$", POSE[:, 1:].reshape(3, 69))
    bad = POSE.copy()
    bad[1, 5, 2] = np.nan
    refused(r"^f\.npz row 1: pose has NaN or infinite values$", bad)
    scaled, mirrored = MATRICES.copy(), MATRICES.copy()
    scaled[2, 4] *= 1.1
    mirrored[0, 7] *= -1
    refused(r"^f\.npz row 2: pose is no rotation at joint 4$", scaled)
    refused(r"^f\.npz row 0: pose is no rotation at joint 7$", mirrored)
    refused("pose has no rows", np.zeros((0, 72)))
    refused("pose has no rows", 3.0)
    refused("pose is not an array of numbers", [["a"] * 72])


def test_rows_with_nan_are_named_and_kept_apart() -> None:
    bad = POSE.reshape(3, 72).copy()
    bad[1, 5] = np.nan
    found, broken = torchgeometry_axis_angles(bad, "pose", "f")
    assert broken == {1: "its pose has NaN or infinite values"}
    np.testing.assert_array_equal(found[[0, 2]], POSE[[0, 2]])
    assert not found[1].any()
    assert torchgeometry_axis_angles(MATRICES, "pose", "f")[1] == {}


def test_betas_beyond_the_tenth_go_only_where_they_are_zero() -> None:
    given = np.zeros((2, 16))
    given[:, 9] = [1, 2]
    np.testing.assert_array_equal(ten_betas(given, "betas", "f")[:, 9], [1, 2])
    given[1, 12] = 0.5
    message = r"^f row 1: betas has 16 values and those beyond the tenth are not 0 \(export the system's shape with 10"
    with pytest.raises(InputError, match=message):
        ten_betas(given, "betas", "f")
    with pytest.raises(InputError, match=r"^f: betas has 9 values per body, expected 10$"):
        ten_betas(np.zeros((2, 9)), "betas", "f")


def test_bodies_are_checked() -> None:
    with pytest.raises(InputError, match=r"^f: has 3 poses and 2 shapes$"):
        body_parameters(POSE, np.zeros((2, 10)), "f")
    with pytest.raises(InputError, match=r"^f row 2: \|betas\| reaches 30.0, expected at most 20"):
        body_parameters(POSE, np.array([[0.0] * 10, [0.0] * 10, [30.0] * 10]), "f")


def test_rows_and_counts() -> None:
    with pytest.raises(InputError, match=r"^f: trans has shape \(2, 4\), expected \(2, 3\)$"):
        rows_of(np.zeros((2, 4)), "trans", "f", 3)
    assert same_count({"a": 2, "b": 2}, "f") == 2
    with pytest.raises(InputError, match=r"^f: has rows that differ: a 2, b 3$"):
        same_count({"a": 2, "b": 3}, "f")
