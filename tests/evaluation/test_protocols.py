"""Protocols: what they say, the rows they count, roots, and the same predictions under all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.evaluation import metrics
from hmrtk.toolkit.evaluation.comparison import compare_protocols, judge
from hmrtk.toolkit.evaluation.protocols import PROTOCOLS, Protocol, protocol
from hmrtk.toolkit.records.table import RecordTable

from .conftest import annotation_of, of_system, with_joints


def test_hips_and_pelvis_are_different_roots(
    records: RecordTable, parameters: BodyParameters, noisy: BodyParameters, body: BodyModel
) -> None:
    predictions = of_system(noisy, body)
    by_pelvis = metrics.evaluate(records, predictions, body, replace(protocol("vibe"), root="pelvis"))
    by_hips = metrics.evaluate(records, predictions, body, protocol("vibe"))
    assert by_hips.joints.shape == (9, 14)
    hips = body.regress(body.pose(parameters).vertices, "h36m17")[:, [1, 4]].mean(1)
    _, root = protocol("vibe").joints(body.pose(parameters), body)
    np.testing.assert_allclose(root, hips, atol=1e-6)
    assert np.abs(by_pelvis.mpjpe - by_hips.mpjpe).max() > 0.1


def test_protocols_say_what_they_are() -> None:
    assert protocol("spin").describe() == (
        "Protocol spin: 14 joints (j14 from h36m17), moved to the pelvis; vertices not aligned; "
        "ground truth of the record's gender, neutral predictions."
    )
    assert protocol("hmrtk").to_json()["vertex_alignment"] == "root"
    assert protocol("i2l-h36m-p2").describe() == (
        "Protocol i2l-h36m-p2: 14 joints (j14 from h36m17), against annotated joints, moved to the pelvis; vertices "
        "not aligned; neutral ground truth; camera 60457274 only; every 64th frame. Needs records of every frame: the "
        "readers' every fifth keeps one in 320."
    )
    for rule in PROTOCOLS.values():
        assert len(rule.joint_names) == len(rule.indices)


def test_the_documented_table_is_theirs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    for one in PROTOCOLS.values():
        joints = one.joint_set if one.joint_set == one.regressor else f"{one.joint_set} of {one.regressor}"
        rows = f"camera {one.camera}" if one.camera else "all"
        rows += f", every {one.frame_step}th frame" if one.frame_step > 1 else ""
        facts = [one.root, one.vertex_alignment, one.gender, one.truth, rows]
        assert f"| `{one.name}` | {len(one.indices)}: {joints} | {' | '.join(facts)} |" in text
    assert text.count("\n| `") == len(PROTOCOLS)


def test_annotated_and_regressed_joints_are_in_one_order(parameters: BodyParameters, body: BodyModel) -> None:
    posed = body.pose(parameters)
    for rule in PROTOCOLS.values():
        if rule.truth == "annotated":
            joints, root = rule.joints(posed, body)
            annotated, its_root = rule.annotated(annotation_of(rule, parameters, body))
            np.testing.assert_array_equal(joints, annotated)
            np.testing.assert_allclose(root, its_root, atol=1e-6)


def test_needed_joints() -> None:
    assert protocol("mpi-inf-3dhp").needed() == (*range(13), 14, 16, 17, 18)
    assert protocol("spin-h36m-p1").needed() == (*range(13), 14, 18)  # the root is needed too
    assert protocol("vibe-h36m-p2").needed() == (*range(13), 18)


def test_rows_that_count(records: RecordTable, parameters: BodyParameters, body: BodyModel) -> None:
    table = with_joints(records, annotation_of(protocol("spin"), parameters, body))
    assert protocol("spin").rows(records).tolist() == list(range(9))
    assert protocol("i2l-h36m-p2").rows(table).tolist() == [0]
    assert replace(protocol("hmrtk"), frame_step=10).rows(records).tolist() == [0, 2, 4, 6, 8]
    for rule, problem in (
        (protocol("spin-h36m-p1"), "no row has joints3d, which protocol spin-h36m-p1 needs"),
        (replace(protocol("spin"), camera="54138969"), "no such row is of camera 54138969, which protocol spin needs"),
    ):
        with pytest.raises(InputError, match=problem):
            rule.rows(records)
    with pytest.raises(InputError, match="no such row's frame is a multiple of 7, which protocol spin needs"):
        replace(protocol("spin"), frame_step=7).rows(records.take([1, 2]))
    bare = RecordTable.from_columns({"sample_id": ["a"], "dataset": "d", "split": "s"}, records.metadata)
    with pytest.raises(InputError, match="no row has body parameters, which protocol hmrtk needs"):
        protocol("hmrtk").rows(bare)


def test_judging_leaves_out_the_predictions_of_other_rows(
    records: RecordTable, noisy: BodyParameters, body: BodyModel
) -> None:
    rule = replace(protocol("hmrtk"), frame_step=10)
    judged = judge(records, of_system(noisy, body), body, rule)
    whole = metrics.evaluate(records, of_system(noisy, body), body)
    assert judged.errors is not None
    assert judged.records is not None
    assert judged.records.sample_ids == ["s0", "s2", "s4", "s6", "s8"]
    np.testing.assert_array_equal(judged.errors.mpjpe, whole.mpjpe[::2])
    with pytest.raises(InputError, match="1 predictions are for samples not in records"):
        judge(records.take(np.arange(8)), of_system(noisy, body), body, protocol("hmrtk"))


def test_each_convention_shows_on_the_same_predictions(
    records: RecordTable, parameters: BodyParameters, noisy: BodyParameters, body: BodyModel
) -> None:
    """Two protocols that differ in one convention differ in the numbers that it touches, and in no other."""
    table = with_joints(records, annotation_of(protocol("spin"), parameters, body))
    found = {j.protocol.name: j for j in compare_protocols(
        table, of_system(noisy, body), body, body_of_gender=lambda g: load_body(gender=g)
    )}  # fmt: skip
    assert list(found) == list(PROTOCOLS)
    means = {name: j.errors.summary() for name, j in found.items() if j.errors is not None}
    assert set(found) == set(means)

    def differ(a: str, b: str) -> list[str]:
        return [m for m in metrics.BASIC if abs(means[a][m] - means[b][m]) > 0.05]

    assert differ("hybrik", "vibe") == ["mpjpe"]  # the root
    assert differ("spin", "bedlam") == ["pve"]  # vertices moved to the root
    assert differ("bedlam", "wham") == ["mpjpe", "pve"]  # the root, for both
    assert differ("spin", "hybrik") == ["mpjpe", "pa_mpjpe", "pve"]  # gender of the truth
    assert differ("spin", "mmhuman3d") == ["mpjpe", "pa_mpjpe", "pve"]  # gender of the predictions
    assert differ("decomr", "4dhumans") == ["mpjpe", "pve"]
    assert "mpjpe" in differ("decomr", "wham")  # the regressor
    assert differ("spin", "pmnet") == []
    assert differ("hybrik", "spin-h36m-p1") == []  # annotated where the body's own joints are
    assert len(found["i2l-h36m-p2"].errors) == 1


def test_protocols_that_cannot_be_applied_say_why(
    records: RecordTable, parameters: BodyParameters, body: BodyModel
) -> None:
    found = {j.protocol.name: j for j in compare_protocols(records, of_system(parameters, body), body)}
    assert found["hmrtk"].errors is not None
    assert "needs the female, male body" in found["spin"].reason
    assert "no row has joints3d" in found["mpi-inf-3dhp"].reason
    short = of_system(parameters, body).take(np.arange(3))
    with pytest.raises(InputError, match=r"cannot be judged under any protocol: .*6 of 9 records have no prediction"):
        compare_protocols(records, short, body)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(UnknownNameError, match="unknown protocol 'spim'; known: spin"):
        protocol("spim")
    with pytest.raises(UnknownNameError, match="unknown joint set of h36m17 'smpl24'"):
        Protocol("x", "smpl24", "h36m17", "pelvis", "neutral", "none")
    with pytest.raises(UnknownNameError, match="unknown joint set of annotated joints 'smpl24'"):
        Protocol("x", "smpl24", "smpl24", "pelvis", "neutral", "none", "annotated")
    with pytest.raises(UnknownNameError, match="unknown regressor 'coco'"):
        Protocol("x", "smpl24", "coco", "pelvis", "neutral", "none")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown root 'head'"):
        replace(protocol("spin"), root="head")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown truth 'fit'"):
        replace(protocol("spin"), truth="fit")  # type: ignore[arg-type]
