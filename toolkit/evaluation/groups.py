"""Errors of parts of the samples: per action (DaNet Table 2), data set, subject, or any other column of the records.

In: ``Errors`` and the records they belong to; out: rows of a table. The ``evaluate`` command and reports call this;
errors per joint are ``Errors.per_joint``, per vertex ``Errors.surface``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.evaluation.metrics import BASIC, Errors
from hmrtk.toolkit.records.table import RecordTable

COLUMNS = ("action", "dataset", "subject", "sequence", "split", "gender", "camera_id")
UNNAMED = "(none)"
"""The group of rows whose column is null."""

_TRIAL = re.compile(r"[_ ]\d+$")
"""Human3.6M names its second recording of an action ``Directions_1``; tables count both as one."""


@dataclass(frozen=True)
class Group:
    """Some of the samples.

    Attributes:
        name: of the group.
        count: its samples.
        means: metric → mean over them, mm or per cent.
    """

    name: str
    count: int
    means: dict[str, float]


def grouped(errors: Errors, names: Sequence[str] | NDArray[Any], metrics: Sequence[str] = BASIC) -> list[Group]:
    """The mean errors of each group, by name.

    Args:
        errors: of N samples.
        names: N names of groups.
        metrics: attributes of ``Errors``.

    Raises:
        InputError: another number of names than of samples.
    """
    if len(names) != len(errors):
        raise InputError("groups", f"expected a name per sample, {len(errors)}, got {len(names)}")
    known, index = np.unique(np.asarray(names).astype(str), return_inverse=True)
    rows = [np.flatnonzero(index == i) for i in range(len(known))]
    return [Group(str(n), len(r), errors.summary(r, metrics)) for n, r in zip(known, rows, strict=True)]


def group_names(records: RecordTable, column: str) -> list[str]:
    """The group of each record: its value in one of ``COLUMNS``; actions without the number of their recording.

    Raises:
        UnknownNameError: another column.
        InputError: no record has a value there.
    """
    if column not in COLUMNS:
        raise UnknownNameError("grouping", column, COLUMNS)
    values = records.table[column].to_pylist()
    if not any(values):
        raise InputError(records.place, f"no row has a value in column {column}", "group by another column")
    named = [value or UNNAMED for value in values]
    return [_TRIAL.sub("", name) for name in named] if column == "action" else named


def average_of_groups(groups: Sequence[Group]) -> dict[str, float]:
    """metric → mean of the groups' means, however many samples each has (DaNet Table 2's average over actions)."""
    return {name: float(np.mean([group.means[name] for group in groups])) for name in groups[0].means}
