"""Metrics against plain NumPy formulas, perfect and shifted predictions, protocols, genders and errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numba import get_num_threads, set_num_threads

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, UnknownNameError
from hmrtk.toolkit.evaluation import metrics
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import PROTOCOLS, Protocol, protocol
from hmrtk.toolkit.records.table import RecordTable

TOLERANCE_MM = 1e-6


def _predictions(parameters: BodyParameters, body: BodyModel) -> Predictions:
    metadata = PredictionsMetadata(system="test", body=body.fingerprint)
    return Predictions([f"s{i}" for i in range(len(parameters))], parameters, metadata)


def _noisy(parameters: BodyParameters, scale: float = 0.2) -> BodyParameters:
    rng = np.random.default_rng(5)
    return parameters.replaced(
        global_orient=parameters.global_orient + rng.normal(0, scale, parameters.global_orient.shape),
        body_pose=parameters.body_pose + rng.normal(0, scale, parameters.body_pose.shape),
        betas=parameters.betas + rng.normal(0, 1, parameters.betas.shape),
    )


def _numpy_pa(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama 1991, one sample at a time: (J, 3) each → (J,) metres."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a / len(a))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(flip)).sum() / (a**2).sum(1).mean()
    return np.linalg.norm(scale * a @ (u @ flip @ vt).T - b, axis=1)


@pytest.mark.parametrize("joints", [3, 14, 24])
def test_joint_metrics_equal_numpy(joints: int) -> None:
    rng = np.random.default_rng(joints)
    predicted, target = rng.normal(0, 0.5, (2, 300, joints, 3))
    expected = 1000 * np.linalg.norm(predicted - target, axis=-1)
    np.testing.assert_allclose(metrics.joint_errors(predicted, target), expected, atol=TOLERANCE_MM)
    np.testing.assert_allclose(metrics.mpjpe(predicted, target), expected.mean(1), atol=TOLERANCE_MM)
    aligned = 1000 * np.array([_numpy_pa(p, t) for p, t in zip(predicted, target, strict=True)])
    np.testing.assert_allclose(metrics.pa_joint_errors(predicted, target), aligned, atol=TOLERANCE_MM)
    np.testing.assert_allclose(metrics.pa_mpjpe(predicted, target), aligned.mean(1), atol=TOLERANCE_MM)


def test_pa_never_reflects_and_ignores_similarities() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(50, 14, 3))
    mirrored = target * [-1, 1, 1]
    expected = 1000 * np.array([_numpy_pa(m, t).mean() for m, t in zip(mirrored, target, strict=True)])
    np.testing.assert_allclose(metrics.pa_mpjpe(mirrored, target), expected, atol=TOLERANCE_MM)
    assert expected.min() > 50
    turned = 3 * target @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).T + 5
    np.testing.assert_allclose(metrics.pa_mpjpe(turned, target), 0, atol=TOLERANCE_MM)


def test_pa_of_degenerate_sets_is_finite() -> None:
    target = np.random.default_rng(1).normal(size=(3, 14, 3))
    source = np.zeros((3, 14, 3))
    source[1, :, 0] = np.arange(14)
    source[2] = target[2]
    errors = metrics.pa_mpjpe(source, target)
    centred = target[0] - target[0].mean(0)
    assert errors[0] == pytest.approx(1000 * np.linalg.norm(centred, axis=1).mean())
    assert np.isfinite(errors).all()
    assert errors[2] == pytest.approx(0, abs=TOLERANCE_MM)
    np.testing.assert_allclose(metrics.pa_mpjpe(source, np.zeros_like(source)), 0, atol=TOLERANCE_MM)


def test_pve_equals_numpy() -> None:
    rng = np.random.default_rng(2)
    predicted, target = rng.normal(0, 0.5, (2, 20, 6890, 3)).astype(np.float32)
    offset = rng.normal(size=(20, 3))
    delta = predicted.astype(np.float64) - target
    np.testing.assert_allclose(
        metrics.pve(predicted, target), 1000 * np.linalg.norm(delta, axis=-1).mean(1), atol=TOLERANCE_MM
    )
    moved = 1000 * np.linalg.norm(delta - offset[:, None], axis=-1).mean(1)
    np.testing.assert_allclose(metrics.pve(predicted, target, offset), moved, atol=TOLERANCE_MM)


def test_metrics_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(3)
    predicted, target = rng.normal(size=(2, 500, 24, 3))
    threads = get_num_threads()
    many = metrics.pa_mpjpe(predicted, target), metrics.pve(predicted, target)
    try:
        set_num_threads(1)
        one = metrics.pa_mpjpe(predicted, target), metrics.pve(predicted, target)
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(many, one)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_perfect_prediction_has_no_error(
    name: str, records: RecordTable, parameters: BodyParameters, body: BodyModel
) -> None:
    elsewhere = parameters.replaced(transl=parameters.transl + 7)  # translation never counts
    errors = metrics.evaluate(records, _predictions(elsewhere, body), body, PROTOCOLS[name], lambda _: body)
    for values in (errors.mpjpe, errors.pa_mpjpe, errors.pve, errors.joints):
        np.testing.assert_allclose(values, 0, atol=1e-3)
    assert errors.joints.shape == (9, len(PROTOCOLS[name].indices))


def test_evaluate_equals_numpy(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    noisy = _noisy(parameters)
    errors = metrics.evaluate(records, _predictions(noisy, body), body)
    still = np.zeros_like(parameters.transl)
    truth, predicted = (body.pose(p.replaced(transl=still)) for p in (parameters, noisy))
    moved = [b.joints.astype(np.float64) - b.joints[:, :1] for b in (predicted, truth)]
    per_joint = 1000 * np.linalg.norm(moved[0] - moved[1], axis=-1)
    np.testing.assert_allclose(errors.joints, per_joint, atol=TOLERANCE_MM)
    np.testing.assert_allclose(errors.mpjpe, per_joint.mean(1), atol=TOLERANCE_MM)
    pa = [1000 * _numpy_pa(p, t).mean() for p, t in zip(*moved, strict=True)]
    np.testing.assert_allclose(errors.pa_mpjpe, pa, atol=TOLERANCE_MM)
    vertices = [b.vertices.astype(np.float64) - b.joints[:, :1].astype(np.float64) for b in (predicted, truth)]
    expected = 1000 * np.linalg.norm(vertices[0] - vertices[1], axis=-1).mean(1)
    np.testing.assert_allclose(errors.pve, expected, atol=TOLERANCE_MM)
    assert errors.summary()["pve"] == pytest.approx(expected.mean())
    assert errors.summary(np.array([2]))["mpjpe"] == pytest.approx(errors.mpjpe[2])


def test_order_of_predictions_does_not_matter(
    records: RecordTable, parameters: BodyParameters, body: BodyModel
) -> None:
    predictions = _predictions(_noisy(parameters), body)
    mixed = predictions.take(np.random.default_rng(0).permutation(len(predictions)))
    a, b = metrics.evaluate(records, predictions, body), metrics.evaluate(records, mixed, body)
    np.testing.assert_allclose(a.pve, b.pve, atol=1e-3)


@pytest.mark.parametrize(
    ("alignment", "root", "pve_mm", "joint_mm"),
    [("none", "pelvis", 100, 0), ("root", "pelvis", 0, 0), ("none", "none", 100, 100)],
)
def test_constant_shift_counts_only_without_alignment(
    alignment: str,
    root: str,
    pve_mm: float,
    joint_mm: float,
    records: RecordTable,
    parameters: BodyParameters,
    body: BodyModel,
) -> None:
    still = body.pose(parameters.replaced(transl=np.zeros_like(parameters.transl)))
    vertices = still.vertices + np.array([0.06, 0, -0.08])
    shifted = replace(_predictions(parameters, body), parameters=None, vertices=vertices.astype(np.float16))
    rule = replace(protocol("hmrtk"), vertex_alignment=alignment, root=root)
    errors = metrics.evaluate(records, shifted, body, rule)
    np.testing.assert_allclose(errors.pve, pve_mm, atol=0.6)  # float16
    np.testing.assert_allclose(errors.mpjpe, joint_mm, atol=0.6)
    np.testing.assert_allclose(errors.pa_mpjpe, 0, atol=0.6)


def test_hips_and_pelvis_are_different_roots(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    predictions = _predictions(_noisy(parameters), body)
    by_pelvis = metrics.evaluate(records, predictions, body, replace(protocol("vibe"), root="pelvis"))
    by_hips = metrics.evaluate(records, predictions, body, protocol("vibe"))
    assert by_hips.joints.shape == (9, 14)
    hips = body.regress(body.pose(parameters).vertices, "h36m17")[:, [1, 4]].mean(1)
    _, root = protocol("vibe").joints(body.pose(parameters), body)
    np.testing.assert_allclose(root, hips, atol=1e-6)
    assert np.abs(by_pelvis.mpjpe - by_hips.mpjpe).max() > 0.1


def test_gendered_ground_truth(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    predictions = _predictions(parameters, body)
    spin = metrics.evaluate(records, predictions, body, protocol("spin"), lambda g: load_body(gender=g))
    neutral = np.arange(9) % 3 == 2
    np.testing.assert_allclose(spin.pve[neutral], 0, atol=1e-3)
    assert spin.pve[~neutral].min() > 1
    both = metrics.evaluate(records, predictions, body, protocol("mmhuman3d"), lambda g: load_body(gender=g))
    np.testing.assert_allclose(both.pve, 0, atol=1e-3)


def test_protocols_say_what_they_are() -> None:
    assert protocol("spin").describe() == (
        "Protocol spin: 14 joints (j14 from h36m17), moved to the pelvis; vertices not aligned; "
        "ground truth of the record's gender, neutral predictions."
    )
    assert protocol("hmrtk").to_json()["vertex_alignment"] == "root"


def test_errors_name_what_is_wrong(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    predictions = _predictions(parameters, body)
    with pytest.raises(UnknownNameError, match="unknown protocol 'spim'; known: spin"):
        protocol("spim")
    with pytest.raises(UnknownNameError, match="unknown joint set of h36m17 'smpl24'"):
        Protocol("x", "smpl24", "h36m17", "pelvis", "neutral", "none")
    with pytest.raises(UnknownNameError, match="unknown regressor 'coco'"):
        Protocol("x", "smpl24", "coco", "pelvis", "neutral", "none")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown root 'head'"):
        replace(protocol("spin"), root="head")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="protocol spin: needs the female, male body of the ground truth"):
        metrics.evaluate(records, predictions, body, protocol("spin"))
    with pytest.raises(BodyMismatchError, match="was made with body other"):
        metrics.evaluate(records, replace(predictions, metadata=PredictionsMetadata(body="other")), body)
    with pytest.raises(InputError, match="has neither body parameters nor vertices"):
        metrics.evaluate(records, replace(predictions, parameters=None), body)
    with pytest.raises(InputError, match=r"mpjpe|joint_errors: expected two equal shapes"):
        metrics.mpjpe(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="pve: expected two equal shapes"):
        metrics.pve(np.zeros((1, 4, 3)), np.zeros((1, 5, 3)))
