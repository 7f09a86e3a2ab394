"""Our rows in the papers' tables: beside published ones on the papers' test data, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hmrtk.reports.measured import Measurement
from hmrtk.reports.paper_tables import own_tables, paper_tables, subset_rows
from hmrtk.reports.tables import Table
from hmrtk.toolkit.body.model import BodyModel

from .conftest import COUNT, Tiny, measurement, tiny_records


def measured_on(tiny: Tiny, body: BodyModel, dataset: Any, **columns: Any) -> Measurement:
    records = tiny_records(body, dataset, **columns)
    return measurement(tiny, {"ours": tiny.predictions("ours", 0.1)}, records=records)


def by_system(table: Table) -> dict[str, dict[str, Any]]:
    return {row["system"]: row for row in table.rows}


def test_both_kinds_of_rows_on_3dpw(tiny: Tiny, body: BodyModel) -> None:
    measured = measured_on(tiny, body, "3dpw")
    tables = {table.name: table for table in paper_tables(measured)}
    assert list(tables) == [
        "beside_pmnet_table_ii", "beside_pmnet_table_iii", "beside_pmnet_table_iv", "beside_danet_table_5",
        "beside_multicrop_hmr_table_1", "beside_pymaf_table_1", "beside_pmnet_table_v",
    ]  # fmt: skip
    tail = tables["beside_pmnet_table_iv"]
    assert [c.heading for c in tail.columns] == ["System", "Source", "3DPW T-5% MPVPE (mm)", "3DPW T-10% MPVPE (mm)"]
    rows, pve = by_system(tail), measured.errors["ours"].pve
    assert (rows["PM-Net"]["v0"], rows["SPIN"]["v1"]) == (124.9, 130.6)
    assert rows["PM-Net"]["source"] == "published: PM-Net"
    assert rows["ours"]["source"] == "measured"
    assert (rows["ours"]["v0"], rows["ours"]["v1"]) == pytest.approx((pve[-1:].mean(), pve[-2:].mean()))
    whole = by_system(tables["beside_pmnet_table_iii"])
    assert whole["ours"]["v1"] == pytest.approx(measured.errors["ours"].mpjpe.mean())
    assert "HKMR" not in whole  # the paper has no number of it on 3DPW
    assert "\\textit{SPIN}" in tail.to_latex()


@pytest.mark.parametrize("columns", [{"split": "train"}, {"dataset": "tiny"}])
def test_no_published_row_stands_beside_other_data(tiny: Tiny, body: BodyModel, columns: dict[str, str]) -> None:
    measured = measured_on(tiny, body, columns.pop("dataset", "3dpw"), **columns)
    assert paper_tables(measured) == []
    assert [t.name for t in own_tables(measured)] == ["overall", "tails_by_system"]


def test_two_data_sets_have_columns_and_tails_of_their_own(tiny: Tiny, body: BodyModel) -> None:
    measured = measured_on(tiny, body, ["3dpw"] * 10 + ["up3d"] * 10)
    assert subset_rows(measured, "3dpw", "T-20%").tolist() == [9, 8]
    table = {t.name: t for t in paper_tables(measured)}["beside_pmnet_table_iv"]
    ours = by_system(table)["ours"]
    pve = measured.errors["ours"].pve
    assert [c.label for c in table.columns[2:]] == [
        "3DPW T-5% MPVPE", "3DPW T-10% MPVPE", "UP-3D T-10% MPVPE", "UP-3D T-20% MPVPE",
    ]  # fmt: skip
    assert [ours[f"v{i}"] for i in range(4)] == pytest.approx([pve[9], pve[9], pve[19], pve[18:].mean()])
    overall = own_tables(measured)[0]
    assert [c.label for c in overall.columns[1:]] == [
        f"{name} {metric}" for name in ("3DPW", "UP-3D") for metric in ("MPVPE", "MPJPE", "PA-MPJPE")
    ]


def test_actions_of_human36m_as_danet_prints_them(tiny: Tiny, body: BodyModel) -> None:
    actions = ["Directions_1", "Directions", "Walking", "Sitting"] * 5
    measured = measured_on(tiny, body, "h36m", action=actions)
    table = {t.name: t for t in paper_tables(measured)}["beside_danet_table_2"]
    ours = by_system(table)["ours"]
    error = measured.errors["ours"].pa_mpjpe
    index = np.arange(COUNT) % 4
    expected = [error[index <= 1].mean(), error[index == 2].mean(), error[index == 3].mean()]
    assert (ours["v0"], ours["v13"], ours["v8"]) == pytest.approx(tuple(expected))
    assert ours["v15"] == pytest.approx(np.mean(expected))
    assert np.isnan(ours["v2"])  # nobody eats
    assert by_system(table)["DaNet"]["v15"] == 42.9


def test_metrics_of_the_picture_come_from_there(tiny: Tiny, body: BodyModel) -> None:
    measured = measured_on(tiny, body, "lsp")
    assert paper_tables(measured) == []  # no masks, so no row of ours
    (table,) = paper_tables(measured, {"ours": {"foreground_accuracy": 91.5}})
    assert table.name == "beside_pymaf_table_2"
    assert by_system(table)["ours"]["v0"] == 91.5
    assert np.isnan(by_system(table)["ours"]["v3"])
