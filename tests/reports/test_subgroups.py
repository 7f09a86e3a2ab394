"""Errors per action, per prototype, per place on the body, and of the chosen prototypes, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.reports.body_errors import heat_picture, joint_table, part_table, scale_top
from hmrtk.reports.choices import choice_table
from hmrtk.reports.measured import Measurement
from hmrtk.reports.subgroups import EVERY, action_chart, action_errors_table, prototype_errors_table
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.prototypes.measure import distances_to

from .conftest import COUNT, Tiny, measurement, tiny_records


@pytest.fixture(scope="module")
def measured(tiny: Tiny) -> Measurement:
    systems = {"a": tiny.predictions("a", 0.1), "b": tiny.predictions("b", 0.05)}
    return measurement(tiny, systems, baseline="a")


def test_actions_and_their_mean(measured: Measurement) -> None:
    rows = {row["action"]: row for row in action_errors_table(measured).rows}
    pve = measured.errors["a"].pve
    walk = np.arange(COUNT) % 5 <= 1
    assert rows["walk"]["pve a"] == pytest.approx(pve[walk].mean())
    means = [pve[walk].mean(), *(pve[np.arange(COUNT) % 5 == i].mean() for i in (2, 3, 4))]
    assert rows[EVERY]["pve a"] == pytest.approx(np.mean(means))
    assert rows[EVERY]["samples"] == COUNT
    assert list(rows)[-1] == EVERY


def test_actions_are_drawn_farthest_first(measured: Measurement, tiny: Tiny, body: BodyModel) -> None:
    chart = action_chart(measured)
    assert chart is not None
    rows = action_errors_table(measured).rows[:-1]
    assert chart.data["names"] == [row["action"] for row in rows]
    assert chart.data["values"]["b"].tolist() == pytest.approx([row["pve b"] for row in rows])
    one = tiny_records(body, action="walk")
    assert action_chart(measurement(tiny, {"a": tiny.predictions("a", 0.1)}, records=one)) is None


def test_records_without_actions_are_one_group(tiny: Tiny, body: BodyModel) -> None:
    records = tiny_records(body, action=[None] * COUNT)
    table = action_errors_table(measurement(tiny, {"a": tiny.predictions("a", 0.1)}, records=records))
    assert [row["action"] for row in table.rows] == ["(none)", EVERY]


def test_prototypes_by_hand(measured: Measurement) -> None:
    rows = prototype_errors_table(measured).rows
    even = np.arange(COUNT) % 2 == 0
    assert [(row["prototype"], row["samples"], row["share"]) for row in rows] == [(0, 10, 50), (1, 10, 50)]
    gain = measured.errors["a"].pve - measured.errors["b"].pve
    assert rows[0]["reduction b"] == pytest.approx(gain[even].mean())


def test_joints_on_the_tail(measured: Measurement) -> None:
    row = joint_table(measured).rows[20]
    assert row["joint"] == "left_wrist"
    errors = measured.errors["a"].joints[:, 20]
    assert row["mpjpe a"] == pytest.approx(errors.mean())
    assert row["mpjpe T-10% a"] == pytest.approx(errors[-2:].mean())


def test_surface_means_are_pve(measured: Measurement, body: BodyModel) -> None:
    surfaces = measured.systems["a"].surfaces
    assert surfaces["Full"].mean() == pytest.approx(measured.errors["a"].pve.mean())
    assert surfaces["T-10%"].mean() == pytest.approx(measured.errors["a"].pve[-2:].mean())
    rows = part_table(measured, body).rows
    assert sum(row["vertices"] for row in rows) == 6890
    whole = sum(row["vertices"] * row["Full a"] for row in rows if row["vertices"]) / 6890
    assert whole == pytest.approx(measured.errors["a"].pve.mean())


def test_heat_is_where_the_error_is(body: BodyModel) -> None:
    """Only the left hand errs: the right of the front view and the left of the back view are red."""
    left_hand = body.weights[:, [20, 22]].sum(axis=1) > 0.5
    picture = heat_picture(np.where(left_hand, 80.0, 0.0), body, 80).astype(int)[:300]
    red = (picture[..., 0] > picture[..., 1] + 60) & (picture[..., 1] < 90) & (picture[..., 3] > 200)
    columns = np.flatnonzero(red.any(axis=0))
    assert red.sum() > 50
    assert set(np.unique(columns // 150)) == {1, 2}  # quarters: front right, back left
    nothing = heat_picture(np.zeros(6890), body, 80).astype(int)[:300]
    assert not ((nothing[..., 0] > nothing[..., 1] + 60) & (nothing[..., 3] > 200)).any()


@pytest.mark.parametrize(("largest", "top"), [(0.0, 1e-3), (83.0, 85.0), (412.0, 450.0), (1.02, 1.5), (100.0, 100.0)])
def test_scales_end_at_round_numbers(largest: float, top: float) -> None:
    assert scale_top([np.full(100, largest)]) == pytest.approx(top)
    assert scale_top([]) > 0


def test_accuracy_of_the_choice_by_hand(tiny: Tiny, body: BodyModel) -> None:
    chosen = tiny.labels.label.copy()
    chosen[18:] = 2  # T-10% is wrong throughout
    system = replace(tiny.predictions("a", 0.1), prototype=chosen)
    measured = measurement(tiny, {"a": system, "silent": tiny.predictions("silent", 0.1)})
    table, left_out = choice_table(measured, tiny.prototypes, body)
    assert table is not None
    assert not left_out
    rows = {row["subset"]: row for row in table.rows}
    assert {name: row["accuracy"] for name, row in rows.items()} == {
        "Full": 90, "Head (not T-25%)": 100, "T-25%": 60, "T-10%": 0,
    }  # fmt: skip
    assert {row["system"] for row in table.rows} == {"a"}
    assert rows["T-25%"]["chance"] == 60
    away = 1000 * distances_to(tiny.records.parameters(), tiny.prototypes, body, chosen)
    assert rows["T-10%"]["chosen"] == pytest.approx(away[18:].mean())
    assert rows["Head (not T-25%)"]["chosen"] == pytest.approx(rows["Head (not T-25%)"]["nearest"])


def test_choices_of_other_prototypes_are_not_judged(tiny: Tiny, body: BodyModel) -> None:
    system = replace(tiny.predictions("a", 0.1), prototype=tiny.labels.label)
    metadata = replace(system.metadata, provenance={"prototypes": "feedfeedfeedfeed"})
    foreign = measurement(tiny, {"a": replace(system, metadata=metadata)})
    table, left_out = choice_table(foreign, tiny.prototypes, body)
    assert table is None
    assert left_out[0].startswith("a: its choices are of the prototypes feedfeedfeedfeed")
    many = measurement(tiny, {"a": replace(system, prototype=np.full(COUNT, 7, np.int32))})
    assert choice_table(many, tiny.prototypes, body)[1] == ["a: it chose prototype 7, but there are only 3 here."]
