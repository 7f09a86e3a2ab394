"""Mixtures keep their weights, give each row of a source once per pass, repeat and resume, by rows and by batches."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from torch.utils.data import DataLoader

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.mixture import MIXES, Mix, ShardMixture
from hmrtk.toolkit.shards.reader import ShardDataset

LIGHT = ("sample_id", "label")


@pytest.fixture(scope="module")
def folders(fakes, tmp_path_factory):
    """Two folders: 60 rows ``big/…`` and 14 rows ``tiny/…``."""
    roots = {}
    for name, layout in (("big", [[9, 8, 10, 7], [12, 14]]), ("tiny", [[5, 6], [3]])):
        roots[name] = tmp_path_factory.mktemp(name)
        fakes.write_fake(roots[name], {name: layout})
    return roots


def mixture(folders, weights=None, columns=LIGHT, **options):
    sources = {name: ShardDataset(root, name, columns, buffer=8) for name, root in folders.items()}
    return ShardMixture(sources, weights or {"big": 2, "tiny": 1}, **options)


def ids(loader):
    return [i for batch in loader for i in batch["sample_id"]]


def through(data, workers, batches):
    if batches:
        data = ShardBatches(data, 4, threads=2)
        return DataLoader(data, batch_size=None, num_workers=workers) if workers else data
    return DataLoader(data, batch_size=4, num_workers=workers)


def test_the_shares_are_the_weights(folders):
    picks = itertools.islice(mixture(folders, {"big": 3, "tiny": 1}).picks(0), 20_000)
    assert np.mean(list(picks)) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 20_000))


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_no_row_comes_twice_in_a_pass(folders, workers, world, batches):
    """The streams share out each pass over a source: over all of them, no row is in it twice."""
    given, passes = Counter(), {}
    for rank in range(world):
        for batch in through(mixture(folders, rows=140, rank=rank, world=world), workers, batches):
            for cursor, name in zip(batch["cursor"].tolist(), batch["sample_id"], strict=True):
                stream, streams, _ = cursor
                source = name.split("/")[0]
                total = {"big": 60, "tiny": 14}[source]
                length = total * (stream + 1) // streams - total * stream // streams
                number = given[source, stream] // length
                given[source, stream] += 1
                passes.setdefault((source, number), []).append(name)
    assert given.total() == 140
    assert all(len(set(names)) == len(names) for names in passes.values())
    if world * max(workers, 1) == 1:
        assert len(set(passes["tiny", 0])) == 14


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_equal_rows(folders, workers):
    rows = [batch["sample_id"] for batch in through(mixture(folders, rows=70), workers, False)]
    assert [batch["sample_id"] for batch in through(mixture(folders, rows=70), workers, True)] == rows


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_resuming_continues_with_the_next_batch(folders, workers, world, batches):
    options = {"rows": 120, "rank": world - 1, "world": world, "seed": 2}
    whole = [batch["sample_id"] for batch in through(mixture(folders, **options), workers, batches)]
    stopped = mixture(folders, **options)
    for number, batch in enumerate(through(stopped, workers, batches), start=1):
        stopped.advance(batch["cursor"])
        if number == 7:
            break
    resumed = mixture(folders, **options)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert [batch["sample_id"] for batch in through(resumed, workers, batches)] == whole[7:]


def test_the_order_follows_from_seed_and_epoch(folders):
    data = mixture(folders)
    first = ids(through(data, 0, False))
    assert len(first) == len(data) == 60  # the largest source
    assert ids(through(mixture(folders), 0, False)) == first
    assert ids(through(mixture(folders, seed=1), 0, False)) != first
    data.set_epoch(1)
    assert ids(through(data, 0, False)) != first


def test_a_token_of_other_weights_is_refused(folders):
    data = mixture(folders)
    next(iter(data))
    with pytest.raises(InputError, match=r"reader token: was made with weights \{'big': 0.66"):
        mixture(folders, {"big": 1, "tiny": 1}).load_state_dict(data.state_dict())


def test_published_mixes_divide_by_size():
    rows = {"h36m": 100, "lsp": 10, "mpii": 30, "lspet": 20, "coco": 40, "mpi_inf_3dhp": 7}
    weights = MIXES["spin"].weights(rows)
    assert weights == pytest.approx(
        {"h36m": 0.3, "lsp": 0.06, "mpii": 0.18, "lspet": 0.12, "coco": 0.24, "mpi_inf_3dhp": 0.1}
    )
    for mix in MIXES.values():
        assert sum(share for _, share in mix.shares) == pytest.approx(1)
    with pytest.raises(InputError, match=r"mix: coco is missing, up3d is not in it \(it has h36m"):
        MIXES["pymaf"].weights({name: n for name, n in rows.items() if name != "coco"} | {"up3d": 5})


def test_a_mix_by_name(folders, monkeypatch):
    monkeypatch.setitem(MIXES, "both", Mix(((("big", "tiny"), 1.0),), "test"))
    assert mixture(folders, "both").weights == pytest.approx({"big": 60 / 74, "tiny": 14 / 74})
    with pytest.raises(UnknownNameError, match="unknown mix 'spim'; known: spin"):
        mixture(folders, "spim")


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ({"big": 1}, r"weights: are of big \(expected big, tiny\)"),
        ({"big": 1, "tiny": 0}, "weights: tiny has 0, expected a positive number"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folders, weights, text):
    with pytest.raises(InputError, match=text):
        mixture(folders, weights)


def test_sources_that_do_not_fit_are_refused(folders):
    with pytest.raises(InputError, match="mixture: has no sources"):
        ShardMixture({}, {})
    sources = {name: ShardDataset(root, name, LIGHT) for name, root in folders.items()}
    sources["tiny"] = ShardDataset(folders["tiny"], "tiny", ["label"])
    with pytest.raises(InputError, match=r"mixture: tiny has other columns than big \(read both alike\)"):
        ShardMixture(sources, {"big": 1, "tiny": 1})


def test_a_source_with_fewer_rows_than_streams_is_named(folders):
    with pytest.raises(InputError, match="tiny: has 14 rows, fewer than the 20 streams of all ranks and workers"):
        list(mixture(folders, rows=4000, rank=0, world=20))
