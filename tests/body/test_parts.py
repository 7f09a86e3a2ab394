"""Vertex groups and part weights."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parts import (
    P3DH_WEIGHTS,
    PART_GROUPS,
    UNIFORM_WEIGHTS,
    parse_weights,
    vertex_groups,
    vertex_weights,
)
from hmrtk.toolkit.body.reference import mirror_vertices
from hmrtk.toolkit.errors import InputError, UnknownNameError


def test_groups_cover_every_joint_once() -> None:
    assert sorted(j for joints in PART_GROUPS.values() for j in joints) == list(range(24))


def test_groups_lie_where_the_body_has_them(body: BodyModel) -> None:
    names = np.array(list(PART_GROUPS))[vertex_groups(body)]
    v = body.v_template
    assert (v[names == "head", 1] > 0.2).all()
    assert (v[names == "foot", 1] < -0.9).all()
    assert (abs(v[names == "hand", 0]) > 0.6).all()
    assert (abs(v[names == "torso", 0]) < 0.25).all()
    assert np.array_equal(vertex_groups(body)[mirror_vertices()], vertex_groups(body))
    assert all((names == name).sum() > 500 for name in PART_GROUPS)


def test_weights_of_vertices(body: BodyModel) -> None:
    weights = vertex_weights(body, P3DH_WEIGHTS)
    assert weights.shape == (6890,)
    assert weights.dtype == np.float32
    assert weights[332] == np.float32(0.3)
    assert set(np.unique(weights)) == {np.float32(w) for w in P3DH_WEIGHTS.values()}
    assert (vertex_weights(body, UNIFORM_WEIGHTS) == 1).all()


def test_weights_need_every_known_group_and_no_other(body: BodyModel) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown part group 'arms'; known: .*limbs"):
        vertex_weights(body, {**P3DH_WEIGHTS, "arms": 1.0})
    with pytest.raises(InputError, match=r"part weights: no weight for foot"):
        vertex_weights(body, {k: v for k, v in P3DH_WEIGHTS.items() if k != "foot"})


def test_parse_weights() -> None:
    assert parse_weights("limbs=10, head=.5") == {**P3DH_WEIGHTS, "limbs": 10.0, "head": 0.5}
    assert parse_weights("") == P3DH_WEIGHTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limbs", "'limbs' is not name=number"),
        ("limbs=five", "limbs='five' is not a number"),
        ("limbs=-1", "limbs=-1 is not a finite weight"),
        ("limbs=nan", "limbs=nan is not a finite weight"),
        ("limbs=1,limbs=2", "limbs is given twice"),
        ("limbs=0,torso=0,foot=0,head=0,hand=0", "all weights are zero"),
    ],
)
def test_parse_weights_refuses(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_weights(text)


def test_parse_weights_lists_the_known_groups() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown part group 'leg'; known: .*foot"):
        parse_weights("leg=1")
