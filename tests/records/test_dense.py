"""Side tables: what is kept, points and masks read back, refusals; and the run-length code against pycocotools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask as pycoco

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import write_parquet
from hmrtk.toolkit.records.dense import KIND, SCHEMA_VERSION, DenseTable, dense_place, has_any
from hmrtk.toolkit.records.rle import decode_rle

POINTS = {"chart": [1, 24], "u": [0.25, 1], "v": [0, 0.5], "x": [3.5, 4], "y": [7, 8]}


def encoded(mask: Any) -> str:
    return str(pycoco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode())


def test_rows_without_anything_are_left_out(tmp_path: Path) -> None:
    columns = {"points": [None, POINTS, None], "silhouette_path": ["a/b.png", None, None]}
    table = DenseTable.from_columns(["a", "b", "c"], columns, {"provenance": {"x": 1}}, "here")
    path = dense_place(tmp_path / "train.parquet")
    assert path == tmp_path / "dense/train.parquet"
    table.write(path)
    again = DenseTable.read(path)
    assert again.table["sample_id"].to_pylist() == ["a", "b"]
    assert again.metadata["provenance"] == {"x": 1}
    points = again.points("b")
    assert points is not None
    assert points.chart.tolist() == [1, 24]
    np.testing.assert_array_equal(points.pixels, [[3.5, 7], [4, 8]])
    assert again.points("a") is None
    assert again.points("c") is None
    assert again.part_mask("b") is None
    assert again.value("a", "silhouette_path") == "a/b.png"
    assert not has_any({"points": [None, None]})


def test_masks_come_back(tmp_path: Path) -> None:
    one, two = np.zeros((256, 256), bool), np.zeros((256, 256), bool)
    one[10:20, 5:200], two[15:17] = True, True
    masks = [{"label": 3, "counts": encoded(one)}, {"label": 9, "counts": encoded(two)}]
    table = DenseTable.from_columns(["a"], {"masks": [masks], "masks_box": [[1, 2, 3, 4]]}, {}, "here")
    np.testing.assert_array_equal(table.part_mask("a"), np.where(two, 9, np.where(one, 3, 0)))


@pytest.mark.parametrize("seed", range(5))
def test_the_run_length_code_is_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((37, 23)) < rng.random()
    if seed == 4:
        mask[:] = True
    np.testing.assert_array_equal(decode_rle(encoded(mask), 37, 23, "x"), mask)


@pytest.mark.parametrize("counts", ["", "0", "PPPP", "P" * 20, "\x01", "é", encoded(np.ones((4, 5)))])
def test_a_bad_code_is_refused(counts: str) -> None:
    with pytest.raises(InputError, match=r"^x: has a run-length code"):
        decode_rle(counts, 4, 4, "x")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"points": [{**POINTS, "u": [0.5]}]}, "here row 0: its surface points have coordinates of different counts"),
        (
            {"points": [{**POINTS, "chart": [1, 25]}]},
            "row 0: a surface point is not finite or not in a chart of 1 to 24",
        ),
        ({"points": [{**POINTS, "x": [1, np.nan]}]}, "row 0: a surface point is not finite"),
        ({"masks_box": [[1, 2]]}, "here: masks_box: "),
        ({"masks": [[{"label": 300, "counts": "a"}]]}, "here: masks: "),
    ],
)
def test_values_that_do_not_fit_are_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DenseTable.from_columns(["a"], columns, {}, "here")


def test_a_foreign_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_parquet(path, pa.table({"sample_id": ["a"]}), KIND, SCHEMA_VERSION, {})
    with pytest.raises(InputError, match="has no column silhouette_path"):
        DenseTable.read(path)
    write_parquet(path, pa.table({"sample_id": ["a"]}), "other", 1, {})
    with pytest.raises(InputError, match="other"):
        DenseTable.read(path)
