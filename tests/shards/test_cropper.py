"""Crops through the readers: the same for rows and batches, from any threads, workers and ranks, and after a token."""

from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, UnknownNameError
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.shards.augmentation import Augmentation, Change
from hmrtk.toolkit.shards.augmented_row import apply
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.cropper import COLUMNS, Cropper
from hmrtk.toolkit.shards.mixture import ShardMixture
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.rows import RowDecoder
from hmrtk.toolkit.shards.shard_map import ShardMap

WILD = Augmentation(flip=0.5, upright=0.2, shift=0.05, occlusion=0.5, upper_body=0.3)
MAPS = ("iuv", "part_visibility", "location", "joint", "displacement")
ALL = (*COLUMNS, "distance", *MAPS)
LIGHT = ("sample_id", "keypoints2d", "label")


@pytest.fixture(scope="module")
def cropper(body):
    return Cropper(body, WILD, seed=3)


@pytest.fixture(scope="module")
def prototypes(body, records):
    """Seven of the rows' own bodies."""
    return PrototypeSet.of(
        records.parameters()[:14:2],
        {"method": "p3dh", "body": body.fingerprint},
        singular=records.parameters()[3:4],
    )


def dataset(built, cropper, columns=LIGHT, **options):
    return ShardDataset(built, None, columns, **{"buffer": 8, "cropper": cropper, **options})


def by_row(batches):
    """row number → every tensor of that row."""
    rows = {}
    for batch in batches:
        for i, number in enumerate(batch["row_number"].tolist()):
            assert number not in rows
            rows[number] = {name: value[i] for name, value in batch.items() if name != "cursor"}
    return rows


def assert_equal(ours, theirs, but=()):
    assert ours.keys() - set(but) == theirs.keys() - set(but)
    for name in theirs.keys() - set(but):
        if isinstance(theirs[name], torch.Tensor):
            assert ours[name].dtype == theirs[name].dtype, name
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0, equal_nan=True)
        else:
            assert ours[name] == theirs[name]


@pytest.mark.parametrize("columns", [LIGHT, ALL, None])
def test_batches_are_the_rows_one_by_one(built, cropper, columns):
    data = dataset(built, cropper, columns)
    data.set_epoch(2)
    expected = [default_collate(part) for part in chunks(list(data), 5)]
    found = list(ShardBatches(data, 5, threads=2))
    assert len(found) == len(expected) == 5
    for ours, theirs in zip(found, expected, strict=True):
        assert_equal(ours, theirs)


def chunks(rows, size):
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def test_a_row_is_the_stored_row_changed_by_hand(built, cropper):
    data = dataset(built, cropper, ALL, shuffle=False)
    stored = ShardMap(built, None, RowDecoder(data.index).columns)
    for number, row in enumerate(data):
        change = cropper.change((0, 0, number))
        plain = {n: v.numpy() if isinstance(v, torch.Tensor) else v for n, v in stored[number].items()}
        plain["image"] = np.ascontiguousarray(plain["image"].transpose(1, 2, 0))
        expected = apply({n: v for n, v in plain.items() if n in row}, change, cropper.form)
        assert row["row_number"] == number
        for name in ("image", "iuv", "keypoints2d", "joints3d", "global_orient", "crop_camera", "location", "covered"):
            value = row[name].permute(1, 2, 0) if name == "image" else row[name]
            assert np.array_equal(value.numpy(), expected[name], equal_nan=True), name


@pytest.mark.parametrize(
    ("threads", "workers", "world", "batch"), [(1, 0, 1, 3), (3, 2, 1, 4), (2, 0, 2, 7), (1, 2, 2, 2)]
)
def test_a_row_is_the_same_whoever_reads_it(built, cropper, threads, workers, world, batch):
    whole = by_row(ShardBatches(dataset(built, cropper, ALL), 22, threads=2))
    assert sorted(whole) == list(range(22))
    found = {}
    for rank in range(world):
        batches = ShardBatches(dataset(built, cropper, ALL, rank=rank, world=world), batch, threads=threads)
        part = by_row(DataLoader(batches, batch_size=None, num_workers=workers) if workers else batches)
        assert not found.keys() & part.keys()
        found |= part
    assert found.keys() == whole.keys()
    for number, row in found.items():
        assert_equal(row, whole[number])


def test_any_row_by_its_number_is_the_same(built, cropper):
    rows, batches = ShardMap(built, None, ALL, cropper=cropper), ShardBatches(dataset(built, cropper, ALL), 22)
    for epoch in (0, 3):
        rows.set_epoch(epoch)
        batches.set_epoch(epoch)
        whole = by_row(batches)
        loaded = by_row(DataLoader(rows, 4, shuffle=True, num_workers=2 * (epoch > 0), generator=torch.Generator()))
        assert loaded.keys() == whole.keys()
        for number, row in loaded.items():
            assert_equal(row, whole[number])


def test_epochs_and_seeds_change_rows_differently(built, body):
    def seen(seed, epoch):
        data = dataset(built, Cropper(body, WILD, seed=seed), shuffle=False)
        data.set_epoch(epoch)
        return next(iter(ShardBatches(data, 22)))["keypoints2d"]

    assert torch.equal(seen(0, 1), seen(0, 1))
    for other in (seen(0, 2), seen(1, 1)):
        assert (seen(0, 1) != other).flatten(1).any(1).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_continues_with_the_very_next_batch(built, cropper, workers):
    def batches():
        data = ShardBatches(dataset(built, cropper, ALL, seed=4), 3, threads=2)
        return data, DataLoader(data, batch_size=None, num_workers=workers) if workers else data

    whole = list(batches()[1])
    stopped, through = batches()
    for number, batch in enumerate(through, start=1):
        stopped.advance(batch["cursor"])
        if number == 3:
            break
    token = json.loads(json.dumps(stopped.state_dict()))
    resumed, through = batches()
    resumed.load_state_dict(token)
    rest = list(through)
    assert len(rest) == len(whole) - 3
    for ours, theirs in zip(rest, whole[3:], strict=True):
        assert_equal(ours, theirs)


@pytest.mark.parametrize("world", [1, 2])
def test_seeking_starts_after_so_many_rows(built, cropper, world):
    batches = ShardBatches(dataset(built, cropper, rank=world - 1, world=world), 3)
    batches.set_epoch(2)
    whole = list(batches)
    other = ShardBatches(dataset(built, cropper, rank=world - 1, world=world), 3)
    other.seek(2, 6)
    for ours, theirs in zip(other, whole[2:], strict=True):
        assert_equal(ours, theirs)
    other.set_epoch(3)
    assert sum(len(batch["label"]) for batch in other) == len(dataset(built, cropper)) // world


def test_a_token_of_other_changes_is_refused(built, cropper, body):
    data = dataset(built, cropper)
    next(iter(data))
    for other in (None, Cropper(body, WILD, seed=4), Cropper(body, "spin", seed=3)):
        with pytest.raises(InputError, match="reader token: was made with crops"):
            dataset(built, other).load_state_dict(data.state_dict())


def test_evaluation_sees_every_plain_crop_once_in_order(built, body):
    data = ShardDataset(built, None, ALL, shuffle=False, cropper=Cropper(body))
    assert [int(n) for batch in ShardBatches(data, 4) for n in batch["row_number"]] == list(range(22))
    stored = list(ShardDataset(built, None, ALL, shuffle=False))
    for row, old in zip(data, stored, strict=True):
        assert torch.equal(row["global_orient"], old["global_orient"])
        assert row["image"].shape == (3, 224, 224)
        assert not row["covered"].any()
        torch.testing.assert_close(row["crop_camera"], old["crop_camera"])
        assert torch.equal(row["label"], old["label"])


def test_ranks_get_equal_shares(built, cropper):
    parts = [
        by_row(ShardBatches(dataset(built, cropper, rank=r, world=3, drop_uneven=True), 2, drop_last=True))
        for r in range(3)
    ]
    assert len({len(part) for part in parts}) == 1
    assert len(set().union(*parts)) == sum(map(len, parts))


def test_a_mixture_changes_each_visit_differently(built, cropper):
    def mixture(**options):
        sources = {
            "many": dataset(built, cropper, ALL, seed=1),
            "few": ShardDataset(built, "test", ALL, buffer=4, cropper=cropper),
        }
        return ShardMixture(sources, {"many": 1, "few": 3}, rows=40, **options)

    batches, again = (list(ShardBatches(mixture(), 8, threads=n)) for n in (1, 3))
    for ours, theirs in zip(batches, again, strict=True):
        assert_equal(ours, theirs)
    for ours, theirs in zip(batches, DataLoader(mixture(), 8), strict=True):
        assert_equal(ours, theirs)
    seen = {}
    for batch in batches:
        for name, points in zip(batch["sample_id"], batch["keypoints2d"], strict=True):
            seen.setdefault(name, []).append(points)
    visits = max(seen.values(), key=len)
    assert len(visits) > 2
    assert len({points.numpy().tobytes() for points in visits}) == len(visits)
    parts = [len(by_number(mixture(rank=r, world=3, drop_uneven=True))) for r in range(3)]
    assert parts == [13, 13, 13]


@pytest.mark.parametrize("mix", ["spin", "pymaf"])
def test_published_mixes_give_crops_and_resume(built, cropper, mix):
    def batches():
        names = ("h36m", "lsp", "mpii", "lspet", "coco", "mpi_inf_3dhp")
        sources = {name: dataset(built, cropper, seed=number) for number, name in enumerate(names)}
        return ShardBatches(ShardMixture(sources, mix, rows=40), 8, threads=2)

    whole, stopped = list(batches()), iter(stop := batches())
    next(stopped)
    next(stopped)
    resumed = batches()
    resumed.load_state_dict(json.loads(json.dumps(stop.state_dict())))
    for ours, theirs in zip(resumed, whole[2:], strict=True):
        assert_equal(ours, theirs)


def by_number(data):
    return [int(n) for batch in ShardBatches(data, 4) for n in batch["row_number"]]


def test_a_mixture_of_other_crops_is_refused(built, cropper, body):
    sources = {"a": dataset(built, cropper), "b": dataset(built, Cropper(body))}
    with pytest.raises(InputError, match=r"mixture: b has other columns than a|mixture: b has other crops than a"):
        ShardMixture(sources, {"a": 1, "b": 1})


def test_labels_are_those_of_the_changed_bodies(built, body, prototypes):
    data = dataset(built, Cropper(body, "spin", seed=1, prototypes=prototypes), ALL)
    for batch in (*ShardBatches(data, 8, threads=2), *DataLoader(data, 8)):
        bodies = BodyParameters.of(*(batch[name].numpy() for name in ("global_orient", "body_pose", "betas")))
        expected = assign(bodies, prototypes, body)
        assert np.array_equal(batch["label"], expected.label)
        assert np.abs(batch["distance"].numpy() - expected.distance).max() < 1e-6
    assert len(np.unique(batch["label"])) > 1


@pytest.mark.filterwarnings("error")
def test_what_rows_lack_stays_missing(built, body, prototypes):
    """Every other row has neither body nor keypoints nor cameras: NaN, and no label; the others are whole."""
    cropper = Cropper(body, "cliff", prototypes=prototypes)
    (stored,) = ShardBatches(ShardDataset(built, None, cropper.columns((*COLUMNS, "distance")), shuffle=False), 64)
    rows = {n: v.numpy().copy() for n, v in stored.items() if isinstance(v, torch.Tensor) and n != "image"}
    for name, values in rows.items():
        if values.dtype.kind == "f" and name != "region":
            values[::2] = np.nan
    rows["label"][:] = -1
    batch = cropper.begin(rows, [(0, 0, number) for number in range(22)])
    cropper.label(batch, [None] * 22)
    assert (batch.columns["label"][::2] == -1).all()
    assert (batch.columns["label"][1::2] >= 0).all()
    for name in ("keypoints2d", "joints3d", "global_orient", "transl", "crop_camera", "camera_matrix", "distance"):
        assert np.isnan(batch.columns[name][::2]).all(), name
        assert np.isfinite(batch.columns[name][1::2]).all(), name
    assert np.isfinite(batch.columns["crop_affine"]).all()


def test_unchanged_rows_keep_their_labels_of_the_same_set(built, body, prototypes):
    cropper, plain = Cropper(body, prototypes=prototypes), ShardDataset(built, None, ("region", *ALL), shuffle=False)
    (stored,) = ShardBatches(plain, 64)
    rows = {name: stored[name].numpy() for name in ("region", "global_orient", "body_pose", "betas", "label")}
    rows["label"][:20] = 6
    bodies = BodyParameters.of(*(rows[name] for name in ("global_orient", "body_pose", "betas")))
    expected = assign(bodies, prototypes, body).label
    for known, kept in ((prototypes.fingerprint, 20), ("feedfeedfeedfeed", 0), (None, 0)):
        batch = cropper.begin(dict(rows), [(0, 0, number) for number in range(22)])
        cropper.label(batch, [known] * 22)
        assert (batch.columns["label"][:kept] == 6).all()
        assert np.array_equal(batch.columns["label"][kept:], expected[kept:])


def test_the_tail_axis_is_the_records_unless_asked(built, body, prototypes):
    stored = {int(n): row for n, row in enumerate(ShardDataset(built, None, ALL, shuffle=False))}
    for asked in (False, True):
        cropper = Cropper(body, "spin", seed=1, prototypes=prototypes, changed_tail=asked)
        for batch in ShardBatches(dataset(built, cropper, ALL), 8):
            if asked:
                bodies = BodyParameters.of(*(batch[name].numpy() for name in ("global_orient", "body_pose", "betas")))
                expected = torch.from_numpy(assign(bodies, prototypes, body).distance_to_singular)
                torch.testing.assert_close(batch["distance_to_singular"], expected, rtol=0, atol=1e-6)
            else:
                old = torch.stack([stored[int(n)]["distance_to_singular"] for n in batch["row_number"]])
                assert torch.equal(batch["distance_to_singular"].isnan(), old.isnan())


def test_keypoints_may_be_normalised(built, body):
    px, normal = (
        by_row(ShardBatches(dataset(built, Cropper(body, "spin", normalised=flag)), 8)) for flag in (False, True)
    )
    for number, row in px.items():
        expected = row["keypoints2d"] * torch.tensor([2 / 224, 2 / 224, 1]) - torch.tensor([1, 1, 0])
        torch.testing.assert_close(normal[number]["keypoints2d"], expected, rtol=0, atol=1e-5)


def test_maps_may_stay_half_precision(built, cropper):
    data = dataset(built, cropper, ("location",))
    half, whole = (next(iter(ShardBatches(data, 8, half=flag)))["location"] for flag in (True, False))
    assert half.dtype == torch.float16
    assert torch.equal(half, whole.half())


def test_croppers_travel_to_workers(built, body, prototypes):
    cropper = Cropper(body, WILD, seed=3, prototypes=prototypes)
    other = pickle.loads(pickle.dumps(cropper))  # noqa: S301 - made here
    ours, theirs = (next(iter(ShardBatches(dataset(built, c, ALL), 8))) for c in (cropper, other))
    assert_equal(ours, theirs)


def test_opencv_starts_no_threads_that_a_forked_worker_could_wait_for(body):
    pickled = pickle.dumps(Cropper(body))
    for make in (lambda: Cropper(body), lambda: pickle.loads(pickled)):  # noqa: S301 - made here
        cv2.setNumThreads(3)
        make()
        assert cv2.getNumThreads() == 1


def test_what_is_not_known_is_refused(folder, body):
    with pytest.raises(UnknownNameError, match="unknown augmentation 'spim'; known: spin"):
        Cropper(body, "spim")
    with pytest.raises(BodyMismatchError, match="0000000000000000"):
        ShardDataset(folder, cropper=Cropper(body))


def test_the_default_change_is_the_plain_crop(body):
    assert Cropper(body).change((5, 0, 7)) == Change()
