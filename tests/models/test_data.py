"""``ShardRows`` on shards built from embedded records: any batch again, ranks apart, every row once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmrtk.models.batch import Batch
from hmrtk.models.camera import project_crop
from hmrtk.models.config import DataConfig
from hmrtk.models.data import ShardRows
from hmrtk.models.posing import JointLayer
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.errors import BodyMismatchError, InputError, UnknownNameError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.sources.embedded import embedded_records

TRAIN, VALIDATION = 14, 6


@pytest.fixture(scope="session")
def records(body: BodyModel) -> RecordTable:
    return RecordTable.concatenate(
        [embedded_records("train", body, limit=TRAIN), embedded_records("val", body, limit=VALIDATION)]
    )


@pytest.fixture(scope="session")
def shards(
    records: RecordTable, body: BodyModel, prototypes: PrototypeSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Fourteen rows to train with in two files and four groups, six to validate with."""
    out = tmp_path_factory.mktemp("shards")
    config = ShardConfig(maps=("iuv",), synthesise=True, region_px=64, iuv_px=24, rows_per_shard=8, rows_per_group=4)
    build_shards(records, body, out, config, prototypes, workers=1)
    return out


@pytest.fixture
def rows_of(shards: Path, body: BodyModel, prototypes: PrototypeSet) -> Callable[..., ShardRows]:
    """(split, settings) → rows with labels."""

    def opened(split: str = "train", maps: tuple[str, ...] = (), **settings: object) -> ShardRows:
        config = DataConfig(**{"batch": 4, "size": 32, "buffer": 6, "augmentation": "spin", **settings})
        return ShardRows({"embedded": shards}, split, config, body, prototypes, maps)

    return opened


def _same(first: Batch, second: Batch) -> bool:
    names = ("image", "keypoints2d", "joints3d", "rotmat", "betas", "camera", "label", "distance")
    return first.names == second.names and all(torch.equal(getattr(first, n), getattr(second, n)) for n in names)


# -- endless ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [1, 2, 3, 4, 5, 7])
def test_batches_from_any_on(rows_of: Callable[..., ShardRows], first: int) -> None:
    """Also past the end of the first epoch (three batches) and of the second."""
    from_start = list(islice(rows_of().batches(4, 0, (0, 1), 3), 9))
    later = list(islice(rows_of().batches(4, first, (0, 1), 3), 9 - first))
    assert len(later) == 9 - first
    assert all(_same(a, b) for a, b in zip(later, from_start[first:], strict=True))


def test_epochs_differ_and_use_each_row_once(rows_of: Callable[..., ShardRows]) -> None:
    batches = list(islice(rows_of().batches(4, 0, (0, 1), 0), 6))
    epochs = [[name for batch in part for name in batch.names] for part in (batches[:3], batches[3:])]
    assert all(len(set(names)) == 12 for names in epochs)
    assert epochs[0] != epochs[1]
    other = [name for batch in islice(rows_of().batches(4, 0, (0, 1), 1), 3) for name in batch.names]
    assert other != epochs[0]
    images = {name: image for batch in batches[:3] for name, image in zip(batch.names, batch.image, strict=True)}
    again = {name: image for batch in batches[3:] for name, image in zip(batch.names, batch.image, strict=True)}
    assert any(not torch.equal(images[name], again[name]) for name in set(images) & set(again))  # augmented anew


def test_two_ranks_share_the_rows(rows_of: Callable[..., ShardRows]) -> None:
    seen = [
        [name for batch in islice(rows_of().batches(2, 0, (rank, 2), 0), 3) for name in batch.names] for rank in (0, 1)
    ]
    assert not set(seen[0]) & set(seen[1])
    assert [len(set(names)) for names in seen] == [6, 6]


def test_more_rows_than_there_are(rows_of: Callable[..., ShardRows]) -> None:
    with pytest.raises(
        InputError, match=r"split train: 14 rows for 2 processes do not fill a batch of 8 each .make data"
    ):
        next(rows_of().batches(8, 0, (0, 2), 0))


# -- once -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 14, 20])
def test_every_row_once_in_order(rows_of: Callable[..., ShardRows], records: RecordTable, size: int) -> None:
    found = list(rows_of().once(size, None))
    assert [name for batch in found for name in batch.names] == records.sample_ids[:TRAIN]
    assert {len(batch) for batch in found[:-1]} <= {size}


@pytest.mark.parametrize("limit", [1, 5, 14, 99])
def test_a_limit_is_spread_evenly(rows_of: Callable[..., ShardRows], limit: int) -> None:
    whole = {name: (batch, row) for batch in rows_of().once(3, None) for row, name in enumerate(batch.names)}
    found = list(rows_of().once(3, limit))
    names = [name for batch in found for name in batch.names]
    expected = np.linspace(0, 13, min(limit, 14)).round().astype(int)
    assert names == [list(whole)[place] for place in expected]
    for batch in found:
        for row, name in enumerate(batch.names):
            other, place = whole[name]
            for column in ("image", "keypoints2d", "joints3d", "rotmat", "camera", "label", "distance"):
                assert torch.equal(getattr(batch, column)[row], getattr(other, column)[place]), column


def test_rows_agree_with_the_records(
    rows_of: Callable[..., ShardRows], records: RecordTable, body: BodyModel, prototypes: PrototypeSet
) -> None:
    (batch,) = rows_of().once(20, None)
    bodies = records.parameters()[:TRAIN]
    joints = JointLayer(body)(batch.rotmat, batch.betas).spin24
    projected = project_crop(joints, batch.camera)
    seen = batch.keypoints2d[..., 2] > 0
    assert batch.has_body.all()
    assert batch.has_camera.all()
    off = (projected - batch.keypoints2d[..., :2])[seen].abs()  # a camera of 5000 px is not the one of the picture
    assert float(off.mean()) < 0.04
    hips = [points - points[:, 2:4].mean(1, keepdim=True) for points in (joints, batch.joints3d[..., :3])]
    torch.testing.assert_close(hips[0], hips[1], atol=1e-5, rtol=0)
    assert batch.image.shape == (TRAIN, 3, 32, 32)
    assert batch.image.dtype == torch.uint8
    assert batch.label.dtype == torch.int64
    np.testing.assert_array_equal(batch.betas, bodies.betas)
    pose = Rotation.from_rotvec(bodies.pose.reshape(-1, 3)).as_matrix().reshape(TRAIN, 24, 3, 3)
    np.testing.assert_allclose(batch.rotmat, pose, atol=1e-5)  # stored rotations lose a little
    assert ((batch.label >= 0) & (batch.label < len(prototypes))).all()
    assert torch.isfinite(batch.distance).all()


def test_maps_come_along(rows_of: Callable[..., ShardRows]) -> None:
    (batch,) = rows_of("val", maps=("iuv",)).once(20, None)
    assert len(batch) == VALIDATION
    assert batch.maps["iuv"].shape[:2] == (VALIDATION, 3)
    assert batch.maps["iuv"].any()


# -- labels and refusals ----------------------------------------------------------------------------------------------


def test_counts_and_shares_of_labels(rows_of: Callable[..., ShardRows], shards: Path, body: BodyModel) -> None:
    rows = rows_of()
    (batch,) = rows.once(20, None)
    assert rows.count == TRAIN
    expected = torch.bincount(batch.label, minlength=4) / TRAIN
    torch.testing.assert_close(rows.label_frequency, expected)
    unlabelled = ShardRows({"embedded": shards}, "train", DataConfig(size=32), body)
    assert unlabelled.label_frequency is None
    assert torch.equal(next(unlabelled.once(4, None)).label, batch.label[:4])  # as stored


def test_another_body(shards: Path) -> None:
    with pytest.raises(BodyMismatchError, match=r"was made with body "):
        ShardRows({"embedded": shards}, "train", DataConfig(size=32), load_body(gender="female"))


def test_two_folders_want_a_mix(shards: Path, body: BodyModel) -> None:
    expected = (
        r"shards: 2 folders, and no mix that says how often each is read .pass --set data.mix=spin, or one folder."
    )
    with pytest.raises(InputError, match=expected):
        ShardRows({"h36m": shards, "coco": shards}, "train", DataConfig(size=32), body)
    with pytest.raises(InputError, match=r"shards: 0 folders"):
        ShardRows({}, "train", DataConfig(size=32), body)


def test_a_split_that_is_not_there(rows_of: Callable[..., ShardRows]) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown split 'test'; known: train, val"):
        rows_of("test")


def test_prototypes_of_another_body(shards: Path, body: BodyModel, prototypes: PrototypeSet) -> None:
    other = replace(prototypes, metadata={"body": "f" * 16})
    with pytest.raises(BodyMismatchError):
        next(ShardRows({"embedded": shards}, "train", DataConfig(size=32), body, other).once(4, None))
