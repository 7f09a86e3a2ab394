"""The order gives every row once, whatever the number of streams, and can be entered anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmrtk.toolkit.shards.order import Piece, RowOrder


def rows_of(order, stream, streams, skip=0, even=False):
    """(group, row of the group) in the order given."""
    windows = order.windows(stream, streams, skip, even)
    return [(w.pieces[p].group, w.pieces[p].first + r) for w in windows for p, r in w.rows]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    streams=st.integers(1, 7),
    buffer=st.integers(1, 20),
    seed=st.integers(0, 5),
    shuffle=st.booleans(),
)
def test_every_row_is_given_once_over_all_streams(sizes, streams, buffer, seed, shuffle):
    order = RowOrder(sizes, seed, 1, buffer, shuffle)
    given_rows = [row for s in range(streams) for row in rows_of(order, s, streams)]
    assert sorted(given_rows) == [(g, r) for g, n in enumerate(sizes) for r in range(n)]
    lengths = [len(rows_of(order, s, streams)) for s in range(streams)]
    assert max(lengths) - min(lengths) <= 1


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), skip=st.integers(0, 60), buffer=st.integers(1, 20))
def test_skipping_equals_dropping_the_first_rows(sizes, skip, buffer):
    order = RowOrder(sizes, 3, 0, buffer)
    assert rows_of(order, 1, 2, skip) == rows_of(order, 1, 2)[skip:]


def test_without_shuffling_the_rows_come_in_file_order():
    order = RowOrder([3, 2], 0, 0, 4, shuffle=False)
    assert rows_of(order, 0, 1) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert list(order.pieces(2, 4)) == [Piece(0, 2, 3), Piece(1, 0, 1)]


def test_even_streams_have_the_same_length():
    order = RowOrder([5, 5, 1], 0, 0, 4)
    assert [len(rows_of(order, s, 4, even=True)) for s in range(4)] == [2, 2, 2, 2]


def test_seed_and_epoch_change_the_order_and_repeat_it():
    def order(seed, epoch):
        return rows_of(RowOrder([10] * 10, seed, epoch, 30), 0, 1)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_shuffling_moves_rows_across_the_whole_split():
    order = rows_of(RowOrder([10] * 100, 0, 0, 100), 0, 1)
    position = np.array([g * 10 + r for g, r in order])
    moved = np.abs(position - np.arange(1000))
    assert moved.mean() == pytest.approx(1000 / 3, rel=0.15)  # what a uniform permutation has


def test_no_row_groups_give_no_rows():
    assert RowOrder([], 0, 0, 4).rows == 0
    assert rows_of(RowOrder([], 0, 0, 4), 0, 2) == []
