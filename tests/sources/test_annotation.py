from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import FROM_SPIN24
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.sources.annotation import (
    COCO17_SLOTS,
    H36M17_SLOTS,
    LSP14_SLOTS,
    MPII16_SLOTS,
    annotation_ids,
    confident,
    gathered,
    image_paths,
    in_spin24,
    person_ids,
    square_boxes,
)


def test_boxes_expand_to_the_files_own() -> None:
    boxes = square_boxes([[100, 80], [10, 20]], [1.2, 0.3])
    np.testing.assert_allclose(boxes[0], [0, -20, 200, 180])
    center, side = bbox_to_square(boxes.astype(float), 1.2)
    np.testing.assert_allclose(center, [[100, 80], [10, 20]], atol=1e-5)
    np.testing.assert_allclose(side, [240, 60], rtol=1e-6)


def test_bad_boxes_are_named() -> None:
    with pytest.raises(InputError, match=r"row 1: scale is -0.1, expected a positive number"):
        square_boxes([[1, 1], [2, 2]], [1.0, -0.1])
    with pytest.raises(InputError, match=r"expected center \(N, 2\) and scale \(N,\), got \(2,\) and \(1,\)"):
        square_boxes([1, 1], [1.0])


def test_joints_go_to_their_rows_and_come_back() -> None:
    for name, slots in (("coco17", COCO17_SLOTS), ("lsp14", LSP14_SLOTS)):
        joints = np.random.default_rng(0).normal(size=(2, len(slots), 3)).astype(np.float32)
        np.testing.assert_array_equal(in_spin24(joints, slots)[:, list(FROM_SPIN24[name])], joints)
    for slots in (COCO17_SLOTS, MPII16_SLOTS, LSP14_SLOTS, H36M17_SLOTS):
        assert len(set(slots)) == len(slots)
    rest = in_spin24(np.ones((1, 16, 3)), MPII16_SLOTS)[0]
    assert rest[16:].sum() == 0
    with pytest.raises(InputError, match=r"expected shape \(N, 14, C\), got \(1, 13, 3\)"):
        in_spin24(np.zeros((1, 13, 3)), LSP14_SLOTS)


def test_columns_of_files_are_joined() -> None:
    one, two = {"a": ["x"], "b": np.ones((1, 2))}, {"a": ["y", "z"], "b": np.zeros((2, 2))}
    joined = gathered([one, two])
    assert joined["a"] == ["x", "y", "z"]
    assert joined["b"].shape == (3, 2)
    with pytest.raises(InputError, match="have columns a, expected a, b"):
        gathered([one, {"a": []}])


def test_picture_names_stay_below_their_folder() -> None:
    assert image_paths(["a/b.jpg", "a\\b.jpg", "./c.png"], "f") == ["a/b.jpg", "a/b.jpg", "c.png"]
    for name in ("", "/a.jpg", "a/../../b.jpg", "C:\\a.jpg", "..\\a.jpg", "\\\\host\\a.jpg"):
        with pytest.raises(InputError, match=r"f row 1: picture .* is not a path below the folder of the pictures"):
            image_paths(["a.jpg", name], "f")


def test_ids_count_the_people_of_a_picture() -> None:
    assert person_ids("d", "s", ["a", "b", "a"]) == ["d/s/a/0", "d/s/b/0", "d/s/a/1"]
    assert annotation_ids("d", "s", ["a", "b", "a"], [7, 7, 8]) == ["d/s/a/7", "d/s/b/7", "d/s/a/8"]
    for numbers in ([7, None, 8], [7, 7, 7]):
        assert annotation_ids("d", "s", ["a", "b", "a"], numbers) == person_ids("d", "s", ["a", "b", "a"])


def test_confidence_is_cut_and_what_has_none_is_zero() -> None:
    joints = np.array([[[1, 2, 2], [3, 4, -1], [np.nan, 5, 0], [6, 7, 0.5]]], np.float32)
    np.testing.assert_array_equal(confident(joints, "f", "part")[0], [[1, 2, 1], [0, 0, 0], [0, 0, 0], [6, 7, 0.5]])
    for bad in ([np.nan, 5, 1], [1, 5, np.nan]):
        joints[0, 2] = bad
        with pytest.raises(InputError, match="f row 0: part has NaN or infinite values"):
            confident(joints, "f", "part")


def test_a_text_for_all_rows_has_to_be_the_same_in_all_parts() -> None:
    parts = [{"a": ["1"], "gender": "neutral"}, {"a": ["2", "3"], "gender": "neutral"}]
    assert gathered(parts) == {"a": ["1", "2", "3"], "gender": "neutral"}
    with pytest.raises(InputError, match="have gender 'neutral' and 'male', expected one"):
        gathered([parts[0], {"a": ["2"], "gender": "male"}])
