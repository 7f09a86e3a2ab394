"""``JointLayer`` equals smplx and the NumPy body, in values and gradients."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmrtk.models.posing import JointLayer
from hmrtk.models.rotation import axis_angle_to_rotmat
from hmrtk.toolkit.body.layer import body_layer
from hmrtk.toolkit.body.model import BodyModel


@pytest.fixture(scope="module")
def layer(body: BodyModel) -> JointLayer:
    return JointLayer(body)


def _smplx_joints(body: BodyModel, rotmat: torch.Tensor, betas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """SMPL's 24 and spin24 through smplx's vertices and the regressors."""
    smplx = body_layer(body, len(betas)).to(rotmat.dtype)
    posed = smplx(global_orient=rotmat[:, :1], body_pose=rotmat[:, 1:], betas=betas, pose2rot=False)
    smpl, extra = posed.joints[:, :24], torch.tensor(body.regressor("extra9").toarray(), dtype=rotmat.dtype)
    regressed, vertices = extra @ posed.vertices, posed.vertices
    spin = [smpl[:, j] for j in (8, 5)] + [regressed[:, 0], regressed[:, 1]] + [smpl[:, j] for j in (4, 7)]
    spin += [smpl[:, j] for j in (21, 19, 17, 16, 18, 20)] + [regressed[:, r] for r in range(2, 9)]
    return smpl, torch.stack(spin + [vertices[:, v] for v in (332, 2800, 6260, 583, 4071)], dim=1)


def test_values_and_gradients_equal_smplx(
    body: BodyModel, layer: JointLayer, stub: ModuleType, generator: torch.Generator
) -> None:
    bodies = stub.random_bodies(5, 3, 0.6)
    rotmat = torch.tensor(Rotation.from_rotvec(bodies.pose.reshape(-1, 3)).as_matrix()).float().reshape(5, 24, 3, 3)
    weight = torch.randn(5, 24, 3, generator=generator)
    gradients = []
    for pose in (lambda r, b: (layer(r, b).smpl24, layer(r, b).spin24), lambda r, b: _smplx_joints(body, r, b)):
        given = rotmat.clone().requires_grad_(), torch.tensor(bodies.betas, requires_grad=True)
        smpl, spin = pose(*given)
        ((smpl + 2 * spin) * weight).sum().backward()
        gradients.append((smpl.detach(), spin.detach(), given[0].grad, given[1].grad))
    for (found, expected), tolerance in zip(zip(*gradients, strict=True), (1e-6, 1e-6, 2e-4, 2e-5), strict=True):
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=1e-5)


def test_values_equal_the_numpy_body(body: BodyModel, layer: JointLayer, stub: ModuleType) -> None:
    bodies = stub.random_bodies(9, 4, 1.0)
    found = layer(axis_angle_to_rotmat(torch.tensor(bodies.pose)), torch.tensor(bodies.betas))
    np.testing.assert_allclose(found.smpl24, body.joints(bodies), atol=2e-6)
    np.testing.assert_allclose(found.spin24, body.spin24_joints(bodies), atol=2e-6)


def test_rest_pose_is_the_regressed_template(body: BodyModel, layer: JointLayer) -> None:
    found = layer(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
    np.testing.assert_allclose(found.smpl24[0], body.joint_regressor @ body.v_template, atol=1e-6)
    np.testing.assert_allclose(found.spin24[0, 19], body.v_template[332], atol=1e-6)


def test_gradients_in_float64(body: BodyModel, generator: torch.Generator) -> None:
    exact = JointLayer(body).double()
    vectors = torch.randn(1, 24, 3, generator=generator, dtype=torch.float64) * 0.3
    vectors[0, ::2] = 0
    betas = torch.randn(1, 10, generator=generator, dtype=torch.float64)

    def pose(vectors: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        return exact(axis_angle_to_rotmat(vectors), betas).spin24

    assert torch.autograd.gradcheck(pose, (vectors.requires_grad_(), betas.requires_grad_()), fast_mode=True)


def test_autocast_changes_nothing_and_nothing_is_saved(layer: JointLayer) -> None:
    given = torch.eye(3).expand(2, 24, 3, 3), torch.ones(2, 10)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(given[0].bfloat16(), given[1].bfloat16())
    assert torch.equal(found.spin24, layer(*given).spin24)
    assert found.spin24.dtype == torch.float32
    assert not layer.state_dict()
    assert not list(layer.parameters())
