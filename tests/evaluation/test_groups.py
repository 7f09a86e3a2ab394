"""Errors per group: means by hand, actions of one name, records without a value, errors."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.evaluation.groups import Group, average_of_groups, group_names, grouped
from hmrtk.toolkit.evaluation.metrics import evaluate
from hmrtk.toolkit.records.table import RecordTable

from .conftest import of_system


def test_groups_are_means_of_their_rows(records: RecordTable, noisy: BodyParameters, body: BodyModel) -> None:
    errors = evaluate(records, of_system(noisy, body), body)
    groups = grouped(errors, group_names(records, "action"), ("mpjpe", "pck"))
    assert [(g.name, g.count) for g in groups] == [("Eating", 3), ("Walking", 6)]
    eating = np.arange(9) % 3 == 2
    assert groups[0].means == pytest.approx({"mpjpe": errors.mpjpe[eating].mean(), "pck": errors.pck[eating].mean()})
    assert groups[1].means["mpjpe"] == pytest.approx(errors.mpjpe[~eating].mean())
    whole = sum(g.count * g.means["mpjpe"] for g in groups) / 9
    assert whole == pytest.approx(errors.mpjpe.mean())


def test_average_of_groups_does_not_weigh_them() -> None:
    groups = [Group("a", 1, {"mpjpe": 10.0}), Group("b", 99, {"mpjpe": 20.0})]
    assert average_of_groups(groups) == {"mpjpe": 15.0}


def test_rows_without_a_value_are_a_group(records: RecordTable) -> None:
    assert group_names(records, "gender")[:3] == ["male", "female", "neutral"]
    with pytest.raises(InputError, match="no row has a value in column subject"):
        group_names(records, "subject")
    columns = {"sample_id": ["a", "b"], "dataset": "d", "split": "s", "subject": ["S9", None]}
    assert group_names(RecordTable.from_columns(columns, records.metadata), "subject") == ["S9", "(none)"]


def test_errors_name_what_is_wrong(records: RecordTable, noisy: BodyParameters, body: BodyModel) -> None:
    with pytest.raises(UnknownNameError, match="unknown grouping 'actor'; known: action"):
        group_names(records, "actor")
    with pytest.raises(InputError, match="groups: expected a name per sample, 9, got 2"):
        grouped(evaluate(records, of_system(noisy, body), body), ["a", "b"])
