"""Projections of networks: by hand, equal to the NumPy twins, and back and forth between the two cameras."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmrtk.models.camera import camera_model, crop_to_pmnet, pmnet_to_crop, project_crop, project_pmnet
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.geometry import camera as numpy_twin


def test_by_hand() -> None:
    camera = torch.tensor([0.8, 0.1, -0.2])
    points = torch.tensor([[0.5, 0.3, 0.0], [0.5, 0.3, 0.4]])
    # s·(X + t) = 0.8·0.6, 0.8·0.1; with depth it shrinks by 1 + 0.8·0.4·224 / 10000.
    torch.testing.assert_close(project_crop(points, camera)[0], torch.tensor([0.48, 0.08]))
    torch.testing.assert_close(project_crop(points, camera)[1], torch.tensor([0.48, 0.08]) / 1.007168)
    torch.testing.assert_close(project_pmnet(points, camera), torch.tensor([[0.5, 0.04]] * 2))  # Eq. 3: s·X + t


def test_equal_the_numpy_twins() -> None:
    rng = np.random.default_rng(0)
    points, camera = (
        rng.normal(0, 0.5, (7, 24, 3)),
        np.stack([rng.uniform(0.4, 1.2, 7), *rng.normal(0, 0.3, (2, 7))], 1),
    )
    given = torch.tensor(points), torch.tensor(camera)
    pixels = numpy_twin.project_crop_camera(points, camera)
    np.testing.assert_allclose(project_crop(*given), pixels / 112 - 1, atol=1e-12)
    same = numpy_twin.weak_perspective_project(points, numpy_twin.pmnet_to_crop_camera(camera))
    np.testing.assert_allclose(project_pmnet(*given), same, atol=1e-14)
    np.testing.assert_allclose(pmnet_to_crop(given[1]), numpy_twin.pmnet_to_crop_camera(camera))
    np.testing.assert_allclose(crop_to_pmnet(given[1]), numpy_twin.crop_to_pmnet_camera(camera))
    torch.testing.assert_close(crop_to_pmnet(pmnet_to_crop(given[1])), given[1])


@pytest.mark.parametrize("name", ["crop", "pmnet"])
def test_gradients_also_at_scale_zero(name: str, generator: torch.Generator) -> None:
    points = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    camera = torch.tensor([[0.9, 0.1, 0.2], [0.0, 0.3, -0.1]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(camera_model(name).project, (points, camera))


def test_models_by_name() -> None:
    camera = torch.tensor([[0.5, 0.1, -0.2]])
    assert camera_model("crop").to_crop(camera) is camera
    torch.testing.assert_close(camera_model("pmnet").to_crop(camera), torch.tensor([[0.5, 0.2, -0.4]]))
    torch.testing.assert_close(camera_model("pmnet").from_crop(torch.tensor([0.5, 0.2, -0.4])), camera[0])
    with pytest.raises(UnknownNameError, match=r"unknown camera model 'crob'; known: crop, pmnet"):
        camera_model("crob")
