"""Openness of posed surfaces, and the noise that textures them."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.normals import vertex_normals
from hmrtk.toolkit.synthesis.noise import noise2, noise3
from hmrtk.toolkit.synthesis.surface import sphere_directions, vertex_openness


def test_directions_are_even() -> None:
    directions = sphere_directions(200)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-6)
    assert np.abs(directions.mean(axis=0)).max() < 0.01


def test_openness_is_low_in_the_armpits_and_high_on_the_scalp(body: BodyModel) -> None:
    normals = vertex_normals(body.v_template, body.faces)
    openness = vertex_openness(body.v_template, normals, body.faces)
    assert openness.min() >= 0
    assert openness.max() <= 1
    scalp = body.v_template[:, 1] > body.v_template[:, 1].max() - 0.03
    assert openness[scalp].min() > 0.9
    inner_thigh = (np.abs(body.v_template[:, 0]) < 0.04) & (np.abs(body.v_template[:, 1] + 0.38) < 0.05)
    assert openness[inner_thigh].mean() < 0.75


def test_noise_is_smooth_bounded_and_repeatable() -> None:
    places = np.random.default_rng(0).uniform(-50, 50, (400, 3))
    values = np.array([noise3(*place) for place in places])
    assert np.abs(values).max() <= 1
    assert values.std() > 0.2
    assert abs(values.mean()) < 0.1
    near = np.array([noise3(*(place + 1e-4)) for place in places])
    assert np.abs(values - near).max() < 2e-3
    assert noise3(1.25, -3.5, 7.75) == noise3(1.25, -3.5, 7.75)
    assert noise2(0.3, 0.4, 1) != noise2(0.3, 0.4, 2)
    assert noise2(2.0, 3.0, 5) == pytest.approx(noise2(2.0 + 1e-9, 3.0, 5), abs=1e-6)
