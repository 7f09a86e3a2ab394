"""``Batch``: what rows lack is zero and masked, and nothing in it is NaN but unknown distances."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmrtk.models.batch import Batch
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError


@pytest.fixture
def columns(stub: ModuleType, body: BodyModel) -> dict[str, object]:
    return stub.columns_of(stub.random_bodies(3), body)


def test_complete_rows_go_through(columns: dict[str, torch.Tensor]) -> None:
    batch = Batch.of(columns)
    assert len(batch) == 3
    assert batch.has_body.all()
    assert batch.has_camera.all()
    assert batch.names == ("row/0", "row/1", "row/2")
    for name, column in (("keypoints2d", "keypoints2d"), ("joints3d", "joints3d"), ("camera", "crop_camera"),
                         ("label", "label"), ("distance", "distance_to_singular"), ("betas", "betas")):  # fmt: skip
        assert torch.equal(getattr(batch, name), columns[column]), name
    pose = np.concatenate([columns["global_orient"][:, None], columns["body_pose"]], 1)
    expected = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(3, 24, 3, 3)
    np.testing.assert_allclose(batch.rotmat, expected, atol=1e-6)


def test_what_is_missing_is_zero_and_masked(columns: dict[str, torch.Tensor]) -> None:
    columns["body_pose"][0, 5, 1] = torch.nan
    columns["betas"][1] = torch.nan
    columns["crop_camera"][2, 0] = torch.nan
    columns["joints3d"][0, 3, 2] = torch.nan  # confidence 1, position unknown
    columns["joints3d"][1] = torch.nan
    columns["keypoints2d"][0, 4] = torch.tensor([9.0, 9.0, 0.0])  # position of an unseen joint is never read
    columns["keypoints2d"][2, 7, 0] = torch.inf
    batch = Batch.of(columns)
    assert batch.has_body.tolist() == [False, False, True]
    assert batch.has_camera.tolist() == [True, True, False]
    assert torch.equal(batch.rotmat[0], torch.eye(3).expand(24, 3, 3))
    assert not batch.betas[:2].any()
    assert not batch.camera[2].any()
    assert not batch.joints3d[0, 3].any()
    assert not batch.joints3d[1].any()
    assert not batch.keypoints2d[0, 4].any()
    assert not batch.keypoints2d[2, 7].any()
    assert batch.joints3d[0, [2, 4], 3].tolist() == [1, 1]
    for name in ("keypoints2d", "joints3d", "rotmat", "betas", "camera"):
        assert torch.isfinite(getattr(batch, name)).all(), name


def test_columns_that_may_be_absent(columns: dict[str, torch.Tensor]) -> None:
    for name in ("sample_id", "joints3d", "crop_camera", "label", "distance_to_singular"):
        del columns[name]
    batch = Batch.of(columns)
    assert batch.label.tolist() == [-1] * 3
    assert torch.isnan(batch.distance).all()
    assert not batch.has_camera.any()
    assert not batch.joints3d.any()
    assert batch.names == ("", "", "")


def test_columns_that_may_not(columns: dict[str, torch.Tensor]) -> None:
    del columns["betas"]
    with pytest.raises(InputError, match=r"batch: has no column betas, iuv .read it, or build shards that have it."):
        Batch.of(columns, ("iuv",))


def test_moved_with_its_maps(columns: dict[str, torch.Tensor]) -> None:
    batch = Batch.of({**columns, "iuv": torch.ones(3, 3, 8, 8)}, ("iuv",)).to("meta")
    assert batch.image.device.type == batch.maps["iuv"].device.type == "meta"
    assert batch.names == ("row/0", "row/1", "row/2")
