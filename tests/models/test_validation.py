"""Validation: perfect answers score 0, known faults score what theory says, and what diverged is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from hmrtk.models.batch import Batch
from hmrtk.models.output import Estimate, Output
from hmrtk.models.rotation import rotmat_to_rot6d
from hmrtk.models.validation import PICTURES, Answers, answers, body_errors, errors, mean_body_errors
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation import formulas
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


class _Oracle(nn.Module):
    """Answers with the truth, changed by ``change`` (of rotations and betas); scores are one-hot at label + ``off``."""

    def __init__(self, change: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None, off: int = 0) -> None:
        super().__init__()
        self.change, self.off = change or (lambda rotmat, betas: (rotmat, betas)), off

    def forward(self, batch: Batch) -> Output:
        rotmat, betas = self.change(batch.rotmat.clone(), batch.betas.clone())
        rot6d, none = rotmat_to_rot6d(rotmat), torch.zeros(len(batch), 24, 3)
        estimate = Estimate(rot6d, rotmat, betas, batch.camera, none, none[..., :2])
        logits = nn.functional.one_hot((batch.label.clamp_min(0) + self.off) % 4, 4).float()
        return Output((estimate,), batch.camera, logits)


def _turned(vector: tuple[float, float, float], joint: int = 0) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    turn = torch.tensor(Rotation.from_rotvec(vector).as_matrix()).float()

    def change(rotmat: torch.Tensor, betas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rotmat[:, joint] = turn @ rotmat[:, joint]
        return rotmat, betas

    return change


def test_perfect_answers_score_zero(rows: Callable[..., Batch], body: BodyModel) -> None:
    found = errors(answers(_Oracle(), [rows(4, 0), rows(3, 1)]), body)
    assert set(found) == {"mpjpe", "pa_mpjpe", "pve", "pve_tail", "accuracy", "accuracy_tail"}
    for name in ("mpjpe", "pa_mpjpe", "pve", "pve_tail"):
        assert found[name] == pytest.approx(0, abs=2e-3), name  # mm; float32 rotations there and back
    assert (found["accuracy"], found["accuracy_tail"]) == (1, 1)


def test_a_turn_of_the_whole_body(rows: Callable[..., Batch], body: BodyModel, stub: ModuleType) -> None:
    """Half round y: each joint is off by twice its distance from the axis through the pelvis; PA takes it all back."""
    batch = rows(5)
    found = errors(answers(_Oracle(_turned((0, np.pi, 0))), [batch]), body)
    posed = body.pose(stub.random_bodies(5, 0))
    joints, vertices = (p.astype(float) - posed.joints[:, :1] for p in (posed.joints, posed.vertices))
    assert found["mpjpe"] == pytest.approx(2000 * np.hypot(joints[..., 0], joints[..., 2]).mean(), rel=1e-4)
    assert found["pve"] == pytest.approx(2000 * np.hypot(vertices[..., 0], vertices[..., 2]).mean(), rel=1e-4)
    assert found["pa_mpjpe"] == pytest.approx(0, abs=5e-3)


def test_errors_equal_the_formulas(rows: Callable[..., Batch], body: BodyModel, stub: ModuleType) -> None:
    """Another elbow and another shape; where the pelvis moves with the shape, that does not count."""
    bent = _turned((0.3, 0, 0.4), 18)
    found = answers(_Oracle(lambda r, b: bent(r, b + 0.5)), [rows(6)])
    bodies = stub.random_bodies(6, 0)
    pose = Rotation.from_rotvec(bodies.pose[:, 18]).as_matrix()
    other = np.array(bodies.body_pose)
    other[:, 17] = Rotation.from_matrix(Rotation.from_rotvec((0.3, 0, 0.4)).as_matrix() @ pose).as_rotvec()
    ours = body.pose(bodies.replaced(body_pose=other, betas=bodies.betas + np.float32(0.5)))
    theirs = body.pose(bodies)
    joints, truth = (p.joints.astype(float) - p.joints[:, :1] for p in (ours, theirs))
    vertices, mesh = (p.vertices.astype(float) - p.joints[:, :1] for p in (ours, theirs))
    values = errors(found, body)
    assert values["mpjpe"] == pytest.approx(formulas.mpjpe(joints, truth).mean(), abs=2e-3)
    assert values["pa_mpjpe"] == pytest.approx(formulas.pa_mpjpe(joints, truth).mean(), abs=2e-3)
    assert values["pve"] == pytest.approx(1000 * np.linalg.norm(vertices - mesh, axis=-1).mean(), abs=2e-3)
    chunks = body_errors(found.parameters, found.truth, body, chunk=4)
    assert chunks["pve"].mean() == pytest.approx(values["pve"])


def test_the_tail_is_the_farthest_tenth(rows: Callable[..., Batch], body: BodyModel) -> None:
    batch = rows(20)
    batch.distance = torch.arange(20.0)

    def change(rotmat: torch.Tensor, betas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        betas[18] += 1
        betas[19] += 1
        return rotmat, betas

    found = answers(_Oracle(change), [batch])
    each, values = body_errors(found.parameters, found.truth, body)["pve"], errors(found, body)
    assert values["pve_tail"] == pytest.approx(each[18:].mean())
    assert values["pve"] == pytest.approx(each.sum() / 20)
    batch.distance[3] = torch.nan
    assert "pve_tail" not in errors(answers(_Oracle(), [batch]), body)


def test_accuracy(rows: Callable[..., Batch], body: BodyModel) -> None:
    batch = rows(20)
    batch.distance = torch.arange(20.0)
    found = answers(_Oracle(), [batch])
    wrong = np.array(found.prototype)
    wrong[[0, 1, 19]] += 1
    values = errors(replace(found, prototype=wrong % 4), body)
    assert (values["accuracy"], values["accuracy_tail"]) == (17 / 20, 1 / 2)
    batch.label[:10] = -1  # rows 0 and 1 do not count
    unlabelled = replace(found, prototype=wrong % 4, label=batch.label.numpy())
    assert errors(unlabelled, body)["accuracy"] == 9 / 10
    none = errors(replace(found, prototype=np.full(20, -1)), body)
    assert "accuracy" not in none
    assert "accuracy" not in errors(replace(found, label=np.full(20, -1)), body)


def test_rows_without_a_body_do_not_count(rows: Callable[..., Batch], body: BodyModel) -> None:
    batch = rows(3)
    batch.has_body[1] = False
    batch.distance[1] = torch.nan

    def change(rotmat: torch.Tensor, betas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        betas[1] += 2
        return rotmat, betas

    assert errors(answers(_Oracle(change), [batch]), body)["pve"] == pytest.approx(0, abs=2e-3)
    assert "pve_tail" in errors(answers(_Oracle(change), [batch]), body)
    batch.has_body[:] = False
    with pytest.raises(InputError, match=r"^validation: no row has a body to compare with$"):
        errors(answers(_Oracle(), [batch]), body)


def test_always_the_mean_body(rows: Callable[..., Batch], body: BodyModel, prototypes: PrototypeSet) -> None:
    found, singular = answers(_Oracle(), [rows(4)]), prototypes.singular
    values = mean_body_errors(found, singular, body)
    repeated = BodyParameters.concatenate([singular] * 4)
    expected = {name: value.mean() for name, value in body_errors(repeated, found.truth, body).items()}
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert values["pve"] > 50


def test_always_the_most_frequent_prototype(
    rows: Callable[..., Batch], body: BodyModel, prototypes: PrototypeSet
) -> None:
    found = replace(answers(_Oracle(), [rows(4)]), label=np.array([2, 2, 1, -1]))
    judged = replace(found, prototype=np.array([0, 1, 2, 3]))
    assert mean_body_errors(judged, prototypes.singular, body)["accuracy"] == pytest.approx(2 / 3)
    without = replace(found, prototype=np.full(4, -1))
    assert "accuracy" not in mean_body_errors(without, prototypes.singular, body)


def test_answers_are_kept_with_their_rows(rows: Callable[..., Batch]) -> None:
    batches = [rows(2, seed) for seed in range(PICTURES + 3)]
    found = answers(_Oracle(off=1), batches)
    assert isinstance(found, Answers)
    assert found.names == ["row/0", "row/1"] * len(batches)
    assert found.pictured.tolist() == list(range(0, 2 * PICTURES, 2))
    np.testing.assert_array_equal(found.pictures[3], batches[3].image[0].permute(1, 2, 0))
    np.testing.assert_array_equal(found.camera[2:4], batches[1].camera)
    np.testing.assert_array_equal(found.truth_camera, found.camera)
    assert found.prototype[:2].tolist() == ((batches[0].label + 1) % 4).tolist()
    assert found.label[:2].tolist() == batches[0].label.tolist()


def test_answers_that_are_not_finite(rows: Callable[..., Batch]) -> None:
    def diverged(rotmat: torch.Tensor, betas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        betas[2, 4] = torch.nan
        return rotmat, betas

    with pytest.raises(InputError) as caught:
        answers(_Oracle(diverged), [rows(4)])
    expected = "answer 2 (row/2): is not finite: training has diverged (lower the learning rate)"
    assert str(caught.value) == expected


def test_no_rows() -> None:
    with pytest.raises(InputError, match=r"^validation: there are no rows to predict$"):
        answers(_Oracle(), [])
