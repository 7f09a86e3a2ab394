"""Errors per vertex: by hand, in parts, on any number of threads, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation import surface
from hmrtk.toolkit.evaluation.surface import SurfaceErrors
from hmrtk.toolkit.maps.slices import over_slices


def test_sums_by_hand_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(2, 5, 6890, 3)).astype(np.float32)
    offset = rng.normal(size=(5, 3))
    expected = 1000 * np.linalg.norm(predicted.astype(np.float64) - target - offset[:, None], axis=-1).mean(0)
    whole, first, second = SurfaceErrors(), SurfaceErrors(), SurfaceErrors()
    whole.add(predicted, target, offset)
    np.testing.assert_allclose(whole.mean(), expected, atol=1e-6)
    first.add(predicted[:2], target[:2], offset[:2])
    second.add(predicted[2:], target[2:], offset[2:])
    np.testing.assert_allclose((first + second).mean(), expected, atol=1e-6)
    assert (first + second).count == 5
    monkeypatch.setattr(surface, "over_slices", lambda work, count: over_slices(work, count, threads=1))
    alone = SurfaceErrors()
    alone.add(predicted, target, offset)
    np.testing.assert_array_equal(alone.total, whole.total)


def test_nothing_added_and_what_does_not_fit() -> None:
    errors = SurfaceErrors()
    assert np.isnan(errors.mean()).all()
    bodies = np.zeros((2, 6890, 3), np.float32)
    with pytest.raises(InputError, match=r"surface errors: expected twice \(2, 6890, 3\) and \(2, 3\), got"):
        errors.add(bodies, bodies, np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"got \(2, 6889, 3\)"):
        errors.add(bodies[:, 1:], bodies, np.zeros((2, 3)))
