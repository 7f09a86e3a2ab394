"""The formulas against plain NumPy, hand-computed PCK, AUC and acceleration, degenerate sets, threads and errors."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation import formulas
from hmrtk.toolkit.maps.slices import over_slices

from .conftest import TOLERANCE_MM, numpy_pa


@pytest.mark.parametrize("joints", [3, 14, 24])
def test_joint_metrics_equal_numpy(joints: int) -> None:
    rng = np.random.default_rng(joints)
    predicted, target = rng.normal(0, 0.5, (2, 300, joints, 3))
    expected = 1000 * np.linalg.norm(predicted - target, axis=-1)
    np.testing.assert_allclose(formulas.joint_errors(predicted, target), expected, atol=TOLERANCE_MM)
    np.testing.assert_allclose(formulas.mpjpe(predicted, target), expected.mean(1), atol=TOLERANCE_MM)
    aligned = 1000 * np.array([numpy_pa(p, t) for p, t in zip(predicted, target, strict=True)])
    np.testing.assert_allclose(formulas.pa_joint_errors(predicted, target), aligned, atol=TOLERANCE_MM)
    np.testing.assert_allclose(formulas.pa_mpjpe(predicted, target), aligned.mean(1), atol=TOLERANCE_MM)


def test_pa_never_reflects_and_ignores_similarities() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(50, 14, 3))
    mirrored = target * [-1, 1, 1]
    expected = 1000 * np.array([numpy_pa(m, t).mean() for m, t in zip(mirrored, target, strict=True)])
    np.testing.assert_allclose(formulas.pa_mpjpe(mirrored, target), expected, atol=TOLERANCE_MM)
    assert expected.min() > 50
    turned = 3 * target @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).T + 5
    np.testing.assert_allclose(formulas.pa_mpjpe(turned, target), 0, atol=TOLERANCE_MM)


def test_pa_of_degenerate_sets_is_finite() -> None:
    target = np.random.default_rng(1).normal(size=(3, 14, 3))
    source = np.zeros((3, 14, 3))
    source[1, :, 0] = np.arange(14)
    source[2] = target[2]
    errors = formulas.pa_mpjpe(source, target)
    centred = target[0] - target[0].mean(0)
    assert errors[0] == pytest.approx(1000 * np.linalg.norm(centred, axis=1).mean())
    assert np.isfinite(errors).all()
    assert errors[2] == pytest.approx(0, abs=TOLERANCE_MM)
    np.testing.assert_allclose(formulas.pa_mpjpe(source, np.zeros_like(source)), 0, atol=TOLERANCE_MM)


def test_pve_equals_numpy() -> None:
    rng = np.random.default_rng(2)
    predicted, target = rng.normal(0, 0.5, (2, 20, 6890, 3)).astype(np.float32)
    offset = rng.normal(size=(20, 3))
    delta = predicted.astype(np.float64) - target
    np.testing.assert_allclose(
        formulas.pve(predicted, target), 1000 * np.linalg.norm(delta, axis=-1).mean(1), atol=TOLERANCE_MM
    )
    moved = 1000 * np.linalg.norm(delta - offset[:, None], axis=-1).mean(1)
    np.testing.assert_allclose(formulas.pve(predicted, target, offset), moved, atol=TOLERANCE_MM)


def test_formulas_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    predicted, target = np.random.default_rng(3).normal(size=(2, 500, 24, 3))
    many = formulas.pa_mpjpe(predicted, target), formulas.pve(predicted, target)
    monkeypatch.setattr(formulas, "over_slices", lambda work, count: over_slices(work, count, threads=1))
    one = formulas.pa_mpjpe(predicted, target), formulas.pve(predicted, target)
    np.testing.assert_array_equal(many, one)


def test_float32_and_other_kinds_of_numbers() -> None:
    predicted, target = np.random.default_rng(4).normal(size=(2, 50, 14, 3))
    single = predicted.astype(np.float32), target.astype(np.float32)
    wide = single[0].astype(np.float64), single[1].astype(np.float64)
    np.testing.assert_allclose(formulas.pa_mpjpe(*single), formulas.pa_mpjpe(*wide), atol=TOLERANCE_MM)
    np.testing.assert_allclose(formulas.pa_mpjpe(single[0], wide[1]), formulas.pa_mpjpe(*wide), atol=TOLERANCE_MM)
    half = single[0].astype(np.float16)
    expected = formulas.pa_mpjpe(half.astype(np.float64), wide[1])
    np.testing.assert_allclose(formulas.pa_mpjpe(half, wide[1]), expected, atol=TOLERANCE_MM)


def test_nan_stays_with_its_row() -> None:
    predicted, target = np.random.default_rng(5).normal(size=(2, 3, 14, 3))
    predicted[1, 2, 0] = np.nan
    for name in ("mpjpe", "pa_mpjpe", "pve"):
        assert np.isnan(getattr(formulas, name)(predicted, target)).tolist() == [False, True, False]
    assert formulas.pck(formulas.joint_errors(predicted, target), 1e6)[1] == pytest.approx(13 / 14)


def test_pck_and_auc_by_hand() -> None:
    errors = np.array([[0.0, 10.0, 150.0, 151.0], [0, 0, 0, 0], [np.nan, 1000, 200, 155]])
    np.testing.assert_allclose(formulas.pck(errors), [0.75, 1, 0])
    # Thresholds 0, 5, …, 150: an error of 0 is right at 31 of 31, of 10 at 29, of 150 at one.
    np.testing.assert_allclose(formulas.auc(errors), [(31 + 29 + 1) / 4 / 31, 1, 0])
    np.testing.assert_allclose(formulas.pck(errors, 10), [0.5, 1, 0])
    assert formulas.pck(np.array([[150.0005]])) == 1  # float32 metres are no finer
    thresholds = np.linspace(0, 150, 31)
    many = np.random.default_rng(6).uniform(0, 200, (40, 17))
    expected = [(many <= t).mean(1) for t in thresholds]
    np.testing.assert_allclose(formulas.auc(many), np.mean(expected, axis=0))


def test_acceleration_by_hand() -> None:
    offsets = np.zeros((4, 2, 3))
    offsets[1, 0] = [0.003, 0, 0.004]  # one joint is 5 mm off in one frame
    np.testing.assert_allclose(formulas.acceleration_errors(offsets), [5, 2.5])
    even = np.arange(4.0)[:, None, None] * np.ones((4, 2, 3)) + 7  # a steady drift is no acceleration
    np.testing.assert_allclose(formulas.acceleration_errors(even), 0, atol=1e-9)
    assert len(formulas.acceleration_errors(offsets[:2])) == 0
    with pytest.raises(InputError, match=r"acceleration_errors: expected shape \(F, J, 3\), got \(4, 3\)"):
        formulas.acceleration_errors(offsets[:, 0])


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InputError, match="joint_errors: expected two equal shapes"):
        formulas.mpjpe(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="pa_joint_errors: expected two equal shapes"):
        formulas.pa_mpjpe(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(InputError, match="pve: expected two equal shapes"):
        formulas.pve(np.zeros((1, 4, 3)), np.zeros((1, 5, 3)))


def _hard_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Sets on which a root or an eigenvector is hard to tell, 200 each."""
    rng = np.random.default_rng(8)
    target, noise = rng.normal(size=(200, 14, 3)), rng.normal(0, 0.05, (200, 14, 3))
    half_turns = {name: target * sign for name, sign in (("x", [1, -1, -1]), ("y", [-1, 1, -1]), ("z", [-1, -1, 1]))}
    thin = target * [1, 1e-5, 1e-5]
    return {
        **{f"half a turn about {name}": (turned + noise, target) for name, turned in half_turns.items()},
        "exactly half a turn": (half_turns["z"], target),
        "equal": (target, target),
        "mirrored": (-target + noise, target),
        "flat": (target * [1, 1, 0] + noise, target * [0, 1, 1]),
        "flat both": (target * [1, 1, 0], (target + noise) * [0, 1, 1]),
        "on a line": (target * [1, 0, 0], target),
        "nearly on a line": (thin + 1e-6 * noise, thin),
        "two points": (target[:, :2] + noise[:, :2], target[:, :2]),
        "a cube of one energy": (np.tile(np.eye(3), (200, 1, 1)), np.tile(np.eye(3)[:, [1, 0, 2]], (200, 1, 1))),
        "unrelated": (rng.normal(size=target.shape), target),
        "micrometres": (1e-6 * (target + noise), 1e-6 * target),
        "kilometres": (1e3 * (target + noise), 1e3 * target + 1e4),
        "far away": (target + noise + 100, target - 50),
    }


@pytest.mark.parametrize("name", _hard_sets())
def test_the_best_fit_of_hard_sets(name: str) -> None:
    """The sum of squares is the least one, by the singular values alone (Umeyama 1991, Eq. 41)."""
    source, target = _hard_sets()[name]
    a, b = source - source.mean(1, keepdims=True), target - target.mean(1, keepdims=True)
    covariance = np.swapaxes(b, 1, 2) @ a
    singular = np.linalg.svd(covariance, compute_uv=False)
    singular[:, 2] *= np.where(np.linalg.det(covariance) < 0, -1, 1)
    least = (b**2).sum((1, 2)) - singular.sum(1) ** 2 / (a**2).sum((1, 2))
    found = ((formulas.pa_joint_errors(source, target) / 1000) ** 2).sum(1)
    np.testing.assert_allclose(found, least, atol=1e-13 * (b**2).sum((1, 2)).max())
