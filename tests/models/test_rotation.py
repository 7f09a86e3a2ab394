"""The networks' rotations: equal to scipy and to the NumPy twins, with true gradients, also where they are delicate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmrtk.models.rotation import axis_angle_to_rotmat, rot6d_to_rotmat, rotmat_to_rot6d
from hmrtk.toolkit.geometry import rotation as numpy_twin


def test_by_hand() -> None:
    quarter = axis_angle_to_rotmat(torch.tensor([0, 0, torch.pi / 2]))
    torch.testing.assert_close(quarter, torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), atol=3e-7, rtol=0)
    assert rotmat_to_rot6d(torch.arange(9.0).reshape(3, 3)).tolist() == [0, 1, 3, 4, 6, 7]
    # First column along 2x, second in the xy plane: Gram-Schmidt gives the identity.
    found = rot6d_to_rotmat(torch.tensor([2.0, 5, 0, 3, 0, 0]))
    torch.testing.assert_close(found, torch.eye(3))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
def test_equal_scipy(dtype: torch.dtype, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 3)) * rng.choice([0, 1e-12, 1e-4, 1, np.pi], (500, 1))
    found = axis_angle_to_rotmat(torch.tensor(vectors, dtype=dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), Rotation.from_rotvec(vectors).as_matrix(), atol=tolerance)


def test_equal_the_numpy_twins() -> None:
    rng = np.random.default_rng(1)
    rot6d, vectors = rng.normal(size=(5, 24, 6)), rng.normal(size=(5, 24, 3))
    np.testing.assert_allclose(rot6d_to_rotmat(torch.tensor(rot6d)), numpy_twin.rot6d_to_rotmat(rot6d), atol=1e-13)
    rotmat = numpy_twin.axis_angle_to_rotmat(vectors)
    np.testing.assert_allclose(axis_angle_to_rotmat(torch.tensor(vectors)), rotmat, atol=1e-14)
    np.testing.assert_array_equal(rotmat_to_rot6d(torch.tensor(rotmat)), numpy_twin.rotmat_to_rot6d(rotmat))


@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
def test_round_trip_and_shapes(lead: tuple[int, ...], generator: torch.Generator) -> None:
    rotmat = axis_angle_to_rotmat(torch.randn(*lead, 3, generator=generator, dtype=torch.float64))
    torch.testing.assert_close(rot6d_to_rotmat(rotmat_to_rot6d(rotmat)), rotmat, atol=1e-14, rtol=0)
    assert rotmat_to_rot6d(rotmat).shape == (*lead, 6)


@pytest.mark.parametrize("scale", [0.0, 1e-7, 1e-3, 1.0, 3.1])
def test_gradients_of_axis_angle(scale: float, generator: torch.Generator) -> None:
    vector = torch.nn.functional.normalize(torch.randn(4, 3, generator=generator, dtype=torch.float64), dim=-1)
    assert torch.autograd.gradcheck(axis_angle_to_rotmat, (vector * scale).requires_grad_())


def test_gradients_of_rot6d(generator: torch.Generator) -> None:
    rot6d = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rot6d_to_rotmat, rot6d)


@pytest.mark.parametrize("rot6d", [[0.0] * 6, [1.0, 2, 1, 2, 1, 2], [1e-30] * 6])
def test_degenerate_pairs_stay_finite(rot6d: list[float]) -> None:
    given = torch.tensor(rot6d, requires_grad=True)
    found = rot6d_to_rotmat(given)
    found.square().sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(given.grad).all()


def test_gradient_at_zero_in_float32() -> None:
    vector = torch.zeros(1, 3, requires_grad=True)
    axis_angle_to_rotmat(vector)[0, 1, 0].backward()  # R[1, 0] = z + …
    assert vector.grad.tolist() == [[0, 0, 1]]
