from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

regressors = pytest.importorskip(
    "bake.reference_body.regressors", reason="the bake scripts are not in this installation"
)
smpl_format = pytest.importorskip("bake.reference_body.smpl_format")

# Sides of the rows of SPIN's J_regressor_h36m.npy: +1 left (x > 0), -1 right, 0 on the midline.
H36M_SIDES = [0, 1, 1, 1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, -1, -1, -1]
EXTRA_SIDES = [-1, 1, 0, 0, 0, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def rows(body: dict[str, np.ndarray]) -> np.ndarray:
    """(50, 6890) the packaged regressor: 24 SMPL joints, 9 extra ones, 17 of Human3.6M."""
    parts = body["jreg_data"], body["jreg_indices"].astype(int), body["jreg_indptr"].astype(int)
    return sp.csr_matrix(parts, shape=(50, smpl_format.VERTEX_COUNT)).toarray().astype(np.float64)


@pytest.mark.parametrize("gender", ["neutral", "male", "female"])
def test_sides_of_the_packaged_rows(body: dict[str, np.ndarray], rows: np.ndarray, gender: str) -> None:
    x = (rows @ body[f"v_template_{gender}"])[:, 0]
    sides = np.where(np.abs(x) < 1e-3, 0, np.sign(x)).astype(int).tolist()
    assert sides[24:33] == EXTRA_SIDES
    assert sides[33:] == H36M_SIDES
    smpl = [1 if "left" in name else -1 if "right" in name else 0 for name in smpl_format.JOINT_NAMES]
    assert sides[:24] == smpl


def test_row_names_agree_with_the_sides() -> None:
    for names, sides in ((regressors.H36M_ROWS, H36M_SIDES), (regressors.EXTRA_ROWS, EXTRA_SIDES)):
        assert [1 if "left" in n else -1 if "right" in n else 0 for n in names] == sides


def test_limbs_of_h36m_go_downwards(body: dict[str, np.ndarray], rows: np.ndarray) -> None:
    joints = rows[33:] @ body["v_template_neutral"]
    for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
        assert joints[hip, 1] > joints[knee, 1] > joints[ankle, 1]
    assert joints[11, 0] < joints[12, 0] < joints[13, 0]  # left shoulder, elbow, wrist outwards in the T-pose
    assert joints[[0, 7, 8, 9, 10], 1].tolist() == sorted(joints[[0, 7, 8, 9, 10], 1])


def test_rows_are_convex_and_symmetric(body: dict[str, np.ndarray], rows: np.ndarray) -> None:
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
    assert rows.min() >= 0
    mirrored = rows[:, body["mirror"].astype(int)]
    np.testing.assert_array_equal(mirrored[smpl_format.MIRROR_JOINTS], rows[:24])
    h36m = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]
    np.testing.assert_allclose(mirrored[33:][h36m], rows[33:], atol=1e-7)


def test_composed_rows_are_the_packaged_ones(body: dict[str, np.ndarray], rows: np.ndarray) -> None:
    template = body["v_template_neutral"].astype(np.float64)
    np.testing.assert_allclose(regressors.extra_joints(rows[:24], template), rows[24:33], atol=1e-6)
    np.testing.assert_allclose(regressors.h36m_joints(rows[:24], template), rows[33:], atol=1e-6)


def test_head_top_is_one_vertex(rows: np.ndarray) -> None:
    assert np.flatnonzero(rows[24 + regressors.EXTRA_ROWS.index("head_top")]).tolist() == [411]


def test_candidates_surround_the_joint() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(scale=0.1, size=(2000, 3))
    allowed = points[:, 0] > -0.05
    chosen = regressors.candidate_vertices(points, np.zeros(3), allowed)
    assert allowed[chosen].all()
    assert len(chosen) <= 260
    octants = {tuple(sign) for sign in np.sign(points[chosen]).astype(int).tolist()}
    assert len(octants) == 8


def test_fit_recovers_joints_inside_the_body(body: dict[str, np.ndarray]) -> None:
    """Joints that are convex means of nearby vertices in every shape are found again to a millimetre."""
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(6, 10))
    template = body["v_template_neutral"].astype(np.float64)
    bodies = template + np.einsum("vck,nk->nvc", body["shapedirs_neutral"].astype(np.float64), shapes)
    parts = body["jreg_data"], body["jreg_indices"].astype(int), body["jreg_indptr"].astype(int)
    known = sp.csr_matrix(parts, shape=(50, smpl_format.VERTEX_COUNT))[:24]
    joints = np.stack([known @ vertices for vertices in bodies])
    fitted = regressors.fit_joint_regressor(bodies, joints, body["mirror"].astype(int))
    np.testing.assert_allclose(fitted.sum(1), 1)
    assert fitted.min() >= 0
    assert np.linalg.norm(fitted @ bodies - joints, axis=2).mean() < 2e-3
