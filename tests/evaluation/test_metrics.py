"""``evaluate`` against plain NumPy: perfect, shifted and mirrored predictions, extra metrics, joined parts, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.toolkit.body.mirror import mirror_parameters
from hmrtk.toolkit.body.model import Body, BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, UnknownNameError
from hmrtk.toolkit.evaluation import metrics
from hmrtk.toolkit.evaluation.predictions import PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import PROTOCOLS, protocol
from hmrtk.toolkit.records.table import RecordTable

from .conftest import TOLERANCE_MM, annotation_of, numpy_pa, of_system, with_joints

EVERYTHING = metrics.EXTRA


@pytest.mark.parametrize("name", PROTOCOLS)
def test_perfect_prediction_has_no_error(
    name: str, records: RecordTable, parameters: BodyParameters, body: BodyModel
) -> None:
    rule = PROTOCOLS[name]
    elsewhere = parameters.replaced(transl=parameters.transl + 7)  # translation never counts
    if rule.truth == "annotated":
        records = with_joints(records, annotation_of(rule, parameters, body))
    errors = metrics.evaluate(records, of_system(elsewhere, body), body, rule, lambda _: body, extra=EVERYTHING)
    measured = (errors.mpjpe, errors.pa_mpjpe, errors.pve, errors.joints, errors.pa_pve, errors.pve_s, errors.pve_p)
    for values in (*measured, errors.acceleration[1:-1], errors.surface.mean()):
        np.testing.assert_allclose(values, 0, atol=2e-3)  # annotated joints are float32, metres from the origin
    for values in (errors.pck, errors.auc, errors.pa_pck, errors.pa_auc):
        np.testing.assert_allclose(values, 100)
    assert errors.joints.shape == (9, len(rule.indices))


def test_evaluate_equals_numpy(
    records: RecordTable, parameters: BodyParameters, noisy: BodyParameters, body: BodyModel
) -> None:
    errors = metrics.evaluate(records, of_system(noisy, body), body)
    still = np.zeros_like(parameters.transl)
    truth, predicted = (body.pose(p.replaced(transl=still)) for p in (parameters, noisy))
    moved = [b.joints.astype(np.float64) - b.joints[:, :1] for b in (predicted, truth)]
    per_joint = 1000 * np.linalg.norm(moved[0] - moved[1], axis=-1)
    np.testing.assert_allclose(errors.joints, per_joint, atol=TOLERANCE_MM)
    np.testing.assert_allclose(errors.mpjpe, per_joint.mean(1), atol=TOLERANCE_MM)
    pa = [1000 * numpy_pa(p, t).mean() for p, t in zip(*moved, strict=True)]
    np.testing.assert_allclose(errors.pa_mpjpe, pa, atol=TOLERANCE_MM)
    vertices = [b.vertices.astype(np.float64) - b.joints[:, :1].astype(np.float64) for b in (predicted, truth)]
    expected = 1000 * np.linalg.norm(vertices[0] - vertices[1], axis=-1).mean(1)
    np.testing.assert_allclose(errors.pve, expected, atol=TOLERANCE_MM)
    assert errors.summary()["pve"] == pytest.approx(expected.mean())
    assert errors.summary(np.array([2]))["mpjpe"] == pytest.approx(errors.mpjpe[2])


def test_order_of_predictions_does_not_matter(records: RecordTable, noisy: BodyParameters, body: BodyModel) -> None:
    predictions = of_system(noisy, body)
    mixed = predictions.take(np.random.default_rng(0).permutation(len(predictions)))
    a, b = metrics.evaluate(records, predictions, body), metrics.evaluate(records, mixed, body)
    np.testing.assert_allclose(a.pve, b.pve, atol=1e-3)


@pytest.mark.parametrize(
    ("alignment", "root", "pve_mm", "joint_mm"),
    [("none", "pelvis", 10, 0), ("root", "pelvis", 0, 0), ("root", "hips", 0, 0), ("none", "none", 10, 10)],
)
def test_constant_shift_of_10_mm_counts_only_without_alignment(
    alignment: str,
    root: str,
    pve_mm: float,
    joint_mm: float,
    records: RecordTable,
    parameters: BodyParameters,
    body: BodyModel,
) -> None:
    still = body.pose(parameters.replaced(transl=np.zeros_like(parameters.transl)))
    vertices = still.vertices + np.array([0.006, 0, -0.008], np.float32)
    shifted = replace(of_system(parameters, body), parameters=None, vertices=vertices)  # type: ignore[arg-type]
    rule = replace(protocol("hmrtk"), vertex_alignment=alignment, root=root)
    errors = metrics.evaluate(records, shifted, body, rule, extra=EVERYTHING)
    expected = {"pve": pve_mm, "mpjpe": joint_mm, "pa_mpjpe": 0, "pa_pve": 0, "pck": 100}
    assert errors.summary(metrics=tuple(expected)) == pytest.approx(expected, abs=1e-3)
    np.testing.assert_allclose(errors.joints, joint_mm, atol=1e-3)
    np.testing.assert_allclose(errors.acceleration[1:-1], 0, atol=2e-3)  # a steady shift does not accelerate
    assert errors.auc.mean() == pytest.approx(100 * 29 / 31 if joint_mm else 100)
    assert (errors.pve_s, errors.pve_p) == (None, None)  # vertices have no shape or pose of their own
    assert "pve_s" not in errors.measured()


def test_swapped_sides_show_in_the_table_of_joints(records: RecordTable, body: BodyModel) -> None:
    pose = np.zeros((9, 24, 3), np.float32)
    pose[:, 16] = [0, 0, -1.2]  # the left arm hangs, the right one is held out
    pose[:, 4] = [0.8, 0, 0]  # the left knee is bent
    truth = BodyParameters.of(pose[:, 0], pose[:, 1:])
    columns = {name: getattr(truth, name) for name in ("global_orient", "body_pose", "betas")}
    ids = {"sample_id": records.sample_ids, "dataset": "tiny", "split": "test"}
    table = RecordTable.from_columns({**ids, **columns}, records.metadata)
    errors = metrics.evaluate(table, of_system(mirror_parameters(truth), body), body)
    per_joint = errors.per_joint()
    for side in ("left", "right"):
        assert per_joint[f"{side}_wrist"][0] > 300
        assert per_joint[f"{side}_ankle"][0] > 200
        assert per_joint[f"{side}_shoulder"][0] < 1
        assert per_joint[f"{side}_wrist"][1] > 100  # nor does a similarity hide it
    for joint in ("pelvis", "spine3", "neck", "head"):
        assert per_joint[joint][0] < 1
    assert np.mean([plain for plain, _ in per_joint.values()]) == pytest.approx(errors.mpjpe.mean())


def test_shape_and_pose_alone_equal_numpy(
    records: RecordTable, parameters: BodyParameters, noisy: BodyParameters, body: BodyModel
) -> None:
    rule = replace(protocol("hmrtk"), vertex_alignment="none")
    for chosen in (rule, protocol("hmrtk")):
        errors = metrics.evaluate(records, of_system(noisy, body), body, chosen, extra=("pve_s", "pve_p"))
        for name, keep in (("pve_s", ("betas",)), ("pve_p", ("global_orient", "body_pose"))):
            sides = []
            for side in (noisy, parameters):
                alone = BodyParameters.zeros(9).replaced(**{field: getattr(side, field) for field in keep})
                posed: Body = body.pose(alone)
                root = posed.joints[:, :1].astype(np.float64) if chosen.vertex_alignment == "root" else 0
                sides.append(posed.vertices - root)
            expected = 1000 * np.linalg.norm(sides[0] - sides[1], axis=-1).mean(1)
            np.testing.assert_allclose(getattr(errors, name), expected, atol=TOLERANCE_MM)
            assert expected.min() > 1
    same_shape = metrics.evaluate(
        records, of_system(noisy.replaced(betas=parameters.betas), body), body, extra=("pve_s", "pve_p")
    )
    np.testing.assert_array_equal(same_shape.pve_s, 0)
    assert same_shape.pve_p.min() > 1


def test_vertices_aligned_and_per_place_equal_numpy(
    records: RecordTable, parameters: BodyParameters, noisy: BodyParameters, body: BodyModel
) -> None:
    errors = metrics.evaluate(records, of_system(noisy, body), body, extra=("pa_pve", "surface"))
    still = np.zeros_like(parameters.transl)
    truth, predicted = (body.pose(p.replaced(transl=still)) for p in (parameters, noisy))
    pairs = zip(predicted.vertices.astype(np.float64), truth.vertices.astype(np.float64), strict=True)
    np.testing.assert_allclose(errors.pa_pve, [1000 * numpy_pa(p, t).mean() for p, t in pairs], atol=TOLERANCE_MM)
    moved = [b.vertices.astype(np.float64) - b.joints[:, :1] for b in (predicted, truth)]
    per_vertex = 1000 * np.linalg.norm(moved[0] - moved[1], axis=-1).mean(0)
    np.testing.assert_allclose(errors.surface.mean(), per_vertex, atol=1e-4)
    assert errors.surface.mean().mean() == pytest.approx(errors.pve.mean())


def test_parts_join_to_the_whole(records: RecordTable, noisy: BodyParameters, body: BodyModel) -> None:
    predictions = of_system(noisy, body)
    extra = ("pa_pve", "pve_s", "pve_p", "surface")
    whole = metrics.evaluate(records, predictions, body, extra=extra)
    parts = [
        metrics.evaluate(records.take(rows), predictions.take(rows), body, extra=extra)
        for rows in np.split(np.arange(9), [2, 3])
    ]
    joined = metrics.Errors.concatenate(parts)
    for name in whole.measured():
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    np.testing.assert_allclose(joined.surface.mean(), whole.surface.mean(), rtol=1e-12)
    assert joined.surface.count == 9
    other = metrics.evaluate(records, predictions, body, protocol("vibe"), extra=extra)
    with pytest.raises(InputError, match="errors: of protocol vibe and hmrtk do not mix"):
        metrics.Errors.concatenate([whole, other])
    with pytest.raises(InputError, match="errors: pve_s was measured in some of 2 parts only"):
        metrics.Errors.concatenate([whole, replace(whole, pve_s=None)])


def test_annotated_joints_are_the_truth_where_the_protocol_says_so(
    records: RecordTable, parameters: BodyParameters, body: BodyModel
) -> None:
    rule = protocol("mpi-inf-3dhp")
    joints = annotation_of(rule, parameters, body)
    joints[:, 0, 1] += 0.17  # the right ankle is annotated 170 mm elsewhere
    errors = metrics.evaluate(with_joints(records, joints), of_system(parameters, body), body, rule)
    assert errors.mpjpe == pytest.approx(170 / 17, abs=1e-3)
    assert errors.per_joint()["right_ankle"][0] == pytest.approx(170, abs=1e-3)
    assert errors.pck == pytest.approx(100 * 16 / 17)
    np.testing.assert_allclose(errors.pve, 0, atol=1e-3)  # vertices are those of the body
    of_bodies = metrics.evaluate(with_joints(records, joints), of_system(parameters, body), body, protocol("vibe"))
    np.testing.assert_allclose(of_bodies.mpjpe, 0, atol=1e-3)


def test_records_without_bodies_have_no_pve(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    rule = protocol("mpi-inf-3dhp")
    columns = {"sample_id": records.sample_ids, "dataset": "tiny", "split": "test"}
    joints = np.concatenate([annotation_of(rule, parameters, body), np.ones((9, 24, 1))], axis=-1)
    bare = RecordTable.from_columns({**columns, "joints3d": joints}, records.metadata)
    errors = metrics.evaluate(bare, of_system(parameters, body), body, rule, extra=EVERYTHING)
    assert errors.measured() == ("mpjpe", "pa_mpjpe", "pck", "auc", "pa_pck", "pa_auc")
    assert np.isnan(errors.pve).all()
    assert np.isnan(errors.summary()["pve"])
    assert np.isnan(errors.surface.mean()).all()
    some = {name: records.array(name).copy() for name in ("global_orient", "body_pose", "betas")}
    for values in some.values():
        values[4] = np.nan
    mixed = RecordTable.from_columns({**columns, **some, "joints3d": joints}, records.metadata)
    partly = metrics.evaluate(mixed, of_system(parameters, body), body, rule, extra=EVERYTHING)
    assert np.flatnonzero(np.isnan(partly.pve)).tolist() == [4]
    assert partly.surface.count == 8
    np.testing.assert_allclose(partly.mpjpe, 0, atol=2e-3)


def test_bodies_posed_by_torch_give_the_same_numbers(
    records: RecordTable, noisy: BodyParameters, body: BodyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hmrtk.toolkit.body.torch_posing import TorchPoser

    asked = []

    def on_torch(model: BodyModel, device: str) -> TorchPoser:
        asked.append(device)
        return TorchPoser(model, "cpu")

    arguments = (records, of_system(noisy, body), body, protocol("mmhuman3d"), lambda g: load_body(gender=g))
    kernels = metrics.evaluate(*arguments, extra=EVERYTHING)
    monkeypatch.setattr(metrics, "poser_for", on_torch)
    tensors = metrics.evaluate(*arguments, extra=EVERYTHING, device="cuda")
    assert asked == ["cuda"] * 3  # a poser per gender
    for name in kernels.measured():
        np.testing.assert_allclose(getattr(tensors, name), getattr(kernels, name), atol=0.01)
    monkeypatch.undo()
    with pytest.raises(UnknownNameError, match="unknown device 'gpu'"):
        metrics.evaluate(*arguments, device="gpu")


def test_gendered_ground_truth(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    predictions = of_system(parameters, body)
    spin = metrics.evaluate(records, predictions, body, protocol("spin"), lambda g: load_body(gender=g))
    neutral = np.arange(9) % 3 == 2
    np.testing.assert_allclose(spin.pve[neutral], 0, atol=1e-3)
    assert spin.pve[~neutral].min() > 1
    both = metrics.evaluate(records, predictions, body, protocol("mmhuman3d"), lambda g: load_body(gender=g))
    np.testing.assert_allclose(both.pve, 0, atol=1e-3)


def test_errors_name_what_is_wrong(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    predictions = of_system(parameters, body)
    with pytest.raises(InputError, match="protocol spin: needs the female, male body of the ground truth"):
        metrics.evaluate(records, predictions, body, protocol("spin"))
    with pytest.raises(BodyMismatchError, match="was made with body other"):
        metrics.evaluate(records, replace(predictions, metadata=PredictionsMetadata(body="other")), body)
    with pytest.raises(InputError, match="has neither body parameters nor vertices"):
        metrics.evaluate(records, replace(predictions, parameters=None), body)
    with pytest.raises(UnknownNameError, match="unknown extra metric 'pve_t'; known: pve_"):
        metrics.evaluate(records, predictions, body, extra=("pve_t",))
    joints = annotation_of(protocol("mpi-inf-3dhp"), parameters, body)
    unsure = np.concatenate([joints, np.ones((9, 24, 1))], axis=-1)
    unsure[6, 17, 3] = 0  # j17 has the jaw, j14 has not
    with pytest.raises(InputError, match="row 6: has no confident joints3d of all joints that protocol mpi-inf-3dhp"):
        metrics.evaluate(with_joints(records, unsure), predictions, body, protocol("mpi-inf-3dhp"))
    metrics.evaluate(with_joints(records, unsure), predictions, body, protocol("spin-h36m-p1"))
    with pytest.raises(InputError, match="row 0: has no confident joints3d"):
        metrics.evaluate(records, predictions, body, protocol("spin-h36m-p1"))
