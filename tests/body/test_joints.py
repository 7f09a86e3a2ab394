"""Joint sets and index tables."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body import joints
from hmrtk.toolkit.errors import UnknownNameError


@pytest.mark.parametrize("name", joints.joint_set_names())
def test_flip_is_an_involution_that_exchanges_left_and_right(name: str) -> None:
    joint_set = joints.joint_set(name)
    assert sorted(joint_set.flip) == list(range(len(joint_set)))
    for here, there in enumerate(joint_set.flip):
        assert joint_set.flip[there] == here
        expected = joint_set.joints[here].replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        assert joint_set.joints[there] == expected


def test_flips_are_the_published_ones() -> None:
    assert joints.joint_set("smpl24").flip == joints.SMPL_FLIP
    assert joints.joint_set("spin24").flip == joints.SPIN24_FLIP


def test_sizes() -> None:
    sizes = {name: len(joints.joint_set(name)) for name in joints.joint_set_names()}
    expected = {"smpl24": 24, "spin24": 24, "extra9": 9, "h36m17": 17, "lsp14": 14, "j14": 14, "j17": 17, "j19": 19}
    assert sizes == {**expected, "coco17": 17}


def test_the_spin24_slots_are_filled_once() -> None:
    slots = [*joints.SPIN24_FROM_SMPL, *joints.SPIN24_FROM_EXTRA9, *joints.SPIN24_FROM_VERTEX]
    assert sorted(slots) == list(range(24))


def test_names_agree_between_spin24_and_where_its_joints_come_from() -> None:
    for slot, row in joints.SPIN24_FROM_EXTRA9.items():
        assert joints.SPIN24_NAMES[slot] == joints.EXTRA9_NAMES[row]
    for slot, joint in joints.SPIN24_FROM_SMPL.items():
        assert joints.SPIN24_NAMES[slot] == joints.SMPL_NAMES[joint]


def test_coco17_and_h36m_tables_name_the_same_joints() -> None:
    assert tuple(joints.SPIN24_NAMES[i] for i in joints.J24_TO_COCO17) == joints.COCO17_NAMES
    via_h36m = [joints.H36M17_NAMES[i] for i in joints.H36M_TO_J17]
    via_j24 = [joints.SPIN24_NAMES[i] for i in joints.J24_TO_J17]
    assert [n for n in via_h36m if "_" in n][:12] == via_j24[:12]
    assert via_h36m[12:] == ["neck", "head_top", "pelvis", "spine", "jaw"]
    assert via_j24[12:] == ["neck_lsp", "head_h36m", "pelvis_mpii", "spine_h36m", "jaw_h36m"]


def test_parents_come_before_children() -> None:
    assert joints.PARENTS[0] == -1
    assert all(parent < child for child, parent in enumerate(joints.PARENTS))
    sides = [name.split("_")[0] for name in joints.SMPL_NAMES]
    for child, parent in enumerate(joints.PARENTS[1:], 1):
        if sides[parent] in ("left", "right"):
            assert sides[child] == sides[parent]


def test_index_and_unknown_names() -> None:
    assert joints.joint_set("smpl24").index("left_knee") == 4
    with pytest.raises(UnknownNameError, match=r"unknown joint set 'smpl25'; known: smpl24, .*h36m17"):
        joints.joint_set("smpl25")
    with pytest.raises(UnknownNameError, match=r"unknown joint of smpl24 'left_nee'; known: left_knee"):
        joints.joint_set("smpl24").index("left_nee")


def test_flip_permutation_mirrors_points_by_name() -> None:
    names = ("left_a", "mid", "right_a")
    assert joints.flip_permutation(names) == (2, 1, 0)
    assert np.array_equal(np.arange(3)[list(joints.flip_permutation(names))], [2, 1, 0])
