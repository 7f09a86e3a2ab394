"""A gender per row: every row is what that gender's own body gives, in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hmrtk.toolkit.body.gendered import GenderedBody
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError

Draw = Callable[[int, int], BodyParameters]
GENDERS = ["male", None, "female", "neutral", "female", "male", ""]


@pytest.fixture(scope="module")
def gendered(gendered_models: dict[str, BodyModel]) -> GenderedBody:
    return GenderedBody(gendered_models)


def own(gendered: GenderedBody, row: int) -> BodyModel:
    return gendered.models[GENDERS[row] or "neutral"]


@pytest.mark.parametrize("chunk", [1, 2, 3, 256])
def test_each_row_is_posed_with_its_own_body(gendered: GenderedBody, random_parameters: Draw, chunk: int) -> None:
    parameters = random_parameters(7, 1)
    found = gendered.pose(parameters, GENDERS, chunk)
    for row in range(7):
        expected = own(gendered, row).pose(parameters[[row]])
        np.testing.assert_array_equal(found.vertices[row], expected.vertices[0])
        np.testing.assert_array_equal(found.joints[row], expected.joints[0])


def test_the_genders_differ(gendered: GenderedBody) -> None:
    heights = np.ptp(gendered.pose(BodyParameters.zeros(3), ["male", "female", "neutral"]).vertices[..., 1], axis=1)
    assert len(set(heights.round(3))) == 3


def test_joints_and_spin24_need_no_vertices_and_keep_the_order(gendered: GenderedBody, random_parameters: Draw) -> None:
    parameters = random_parameters(7, 2)
    joints, spin24 = gendered.joints(parameters, GENDERS), gendered.spin24_joints(parameters, np.array(GENDERS, object))
    for row in range(7):
        np.testing.assert_array_equal(joints[row], own(gendered, row).joints(parameters[[row]])[0])
        np.testing.assert_array_equal(spin24[row], own(gendered, row).spin24_joints(parameters[[row]])[0])


def test_stream_is_in_order_and_bounded(gendered: GenderedBody, random_parameters: Draw) -> None:
    parameters = random_parameters(7, 3)
    expected = gendered.pose(parameters, GENDERS).vertices
    slices = []
    for rows, body in gendered.stream(parameters, GENDERS, 3):
        slices.append((rows.start, rows.stop))
        np.testing.assert_array_equal(body.vertices, expected[rows])
    assert slices == [(0, 3), (3, 6), (6, 7)]


def test_groups_cover_every_row_once(gendered: GenderedBody) -> None:
    groups = list(gendered.groups(GENDERS, 1))
    assert all(len(rows) == 1 for rows, _ in groups)
    assert sorted(int(rows[0]) for rows, _ in groups) == list(range(7))
    whole = {model.gender: rows.tolist() for rows, model in gendered.groups(GENDERS)}
    assert whole == {"female": [2, 4], "male": [0, 5], "neutral": [1, 3, 6]}
    assert list(gendered.groups([])) == []


def test_a_gender_without_a_body_is_named_by_row(gendered: GenderedBody) -> None:
    two = BodyParameters.zeros(2)
    with pytest.raises(InputError, match="gender row 1: there is no body for 'unknown'; there are: female, male, neu"):
        gendered.pose(two, ["male", "unknown"])
    with pytest.raises(InputError, match="gender row 0: there is no body for 'male'; there are: neutral"):
        GenderedBody({"neutral": gendered.models["neutral"]}).joints(two, ["male", None])


def test_bad_arguments_are_refused(gendered: GenderedBody) -> None:
    two = BodyParameters.zeros(2)
    with pytest.raises(InputError, match="gender: expected one per body, 2, got 3"):
        gendered.spin24_joints(two, [None] * 3)
    with pytest.raises(InputError, match="gender: expected one per body, got the single name 'male'"):
        gendered.pose(two, "male")
    with pytest.raises(InputError, match="chunk: expected at least 1, got 0"):
        gendered.pose(two, [None] * 2, 0)
    with pytest.raises(UnknownNameError, match="unknown gender 'men'"):
        GenderedBody({"men": gendered.models["male"]})


def test_load_gives_the_reference_bodies() -> None:
    loaded = GenderedBody.load(genders=("male", "neutral"))
    assert loaded.models["male"].fingerprint == load_body(gender="male").fingerprint
    assert set(loaded.models) == {"male", "neutral"}
