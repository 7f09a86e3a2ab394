"""Predictions that cover more than is measured: passed over and told, unless they are for samples that are nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.reports.coverage import covered
from hmrtk.toolkit.errors import InputError

from .conftest import COUNT, Tiny


def test_predictions_of_other_records_are_counted(tiny: Tiny) -> None:
    predictions = tiny.predictions("a", 0.1)
    some = tiny.records.take(np.arange(3, COUNT))
    kept, coverage = covered(predictions, some, tiny.records)
    assert kept.sample_ids == some.sample_ids
    assert (coverage.measured, coverage.passed_over) == (17, 3)
    assert coverage.sentence("a") == (
        "a: 17 samples measured; 3 predictions are passed over, for records without a body or that the protocol does "
        "not count."
    )
    assert covered(predictions, tiny.records)[1].sentence("a") == ""


def test_samples_that_are_nowhere_are_refused(tiny: Tiny) -> None:
    predictions = tiny.predictions("a", 0.1)
    few = tiny.records.head(18)
    with pytest.raises(InputError, match="2 predictions are for samples not in records, the first is 's18'"):
        covered(predictions, few)
    with pytest.raises(InputError, match="10 of 20 records have no prediction"):
        covered(predictions.take(np.arange(10)), tiny.records)


def test_what_an_import_said_is_told(tiny: Tiny) -> None:
    matching = {
        "matched_by": "image",
        "records": 22,
        "results": 25,
        "records_without_result": {"count": 2, "first": []},
        "results_without_record": {"count": 5, "first": []},
    }
    predictions = tiny.predictions("a", 0.1)
    told = replace(predictions, metadata=replace(predictions.metadata, provenance={"matching": matching}))
    assert covered(told, tiny.records)[1].sentence("spin") == (
        "spin: 20 samples measured; imported, matched by image: 25 results, 22 records, 2 records without a "
        "result, 5 results without a record."
    )
