"""Shards open with no code of ours in pandas, Polars, DuckDB and Hugging Face datasets, nulls included.

Each tool has to give back the picture and the tensors that our own reader gives of the same rows.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hmrtk.toolkit.shards.reader import read_row

ROWS = 13
"""Of the first shard of ``folder``: rows 0, 3, 6, … have no arrays, rows 0, 5 and 10 no picture."""
ARRAYS = {"location": np.float16, "iuv": np.uint8, "keypoints2d": np.float32}


@pytest.fixture(scope="module")
def file(folder: Path) -> str:
    return str(folder / "train/shard-00000.parquet")


@pytest.fixture(scope="module")
def ours(folder: Path) -> list[dict[str, Any]]:
    return [read_row(folder, number, "train") for number in range(ROWS)]


def check(row: dict[str, Any], ours: dict[str, Any], number: int) -> None:
    """A row of another tool, its arrays flat or null, against that of the reader."""
    assert row["sample_id"] == ours["sample_id"]
    for name, dtype in ARRAYS.items():
        if number % 3 == 0:
            assert row[name] is None
            continue
        value = np.asarray(row[name])
        assert value.shape == (ours[name].numel(),)
        assert (value.astype(dtype) == ours[name].numpy().ravel().astype(dtype)).all()
    if number % 5 == 0:
        assert row["image"] is None
    else:
        picture = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert np.abs(np.asarray(picture).astype(int) - ours["image"].permute(1, 2, 0).numpy()).max() <= 1


def test_pandas(file: str, ours: list[dict[str, Any]]) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.read_parquet(file)
    assert len(frame) == ROWS
    for number, row in enumerate(frame.to_dict("records")):
        check({k: None if v is pandas.NA or v is np.nan else v for k, v in row.items()}, ours[number], number)
    shape = json.loads(pq.read_schema(file).field("location").metadata[b"shape"])
    assert frame.location[1].reshape(shape).shape == tuple(ours[1]["location"].shape)


def test_polars(file: str, ours: list[dict[str, Any]]) -> None:
    polars = pytest.importorskip("polars", reason="Polars is not installed")
    frame = polars.read_parquet(file)
    assert frame.schema["location"] == polars.Array(polars.Float16, ours[0]["location"].numel())
    for number, row in enumerate(frame.iter_rows(named=True)):
        check(row, ours[number], number)
    lazy = polars.scan_parquet(file).filter(polars.col("label") > 2).select("sample_id", "label").collect()
    assert lazy["label"].to_list() == [n for n in range(3, ROWS) if n % 4]


def test_duckdb(file: str, ours: list[dict[str, Any]]) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    names = ("sample_id", "image", *ARRAYS)
    rows = duckdb.sql(f"select {', '.join(names)} from '{file}'").fetchall()
    for number, row in enumerate(rows):
        check(dict(zip(names, row, strict=True)), ours[number], number)
    query = f"select count(image), count(*), max(octet_length(image.bytes)) > 100 from '{file}'"
    assert duckdb.sql(query).fetchall() == [(10, ROWS, True)]


@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_face(file: str, ours: list[dict[str, Any]], tmp_path: Path, streaming: bool) -> None:
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    rows = datasets.load_dataset(
        "parquet", data_files=file, split="train", streaming=streaming, cache_dir=str(tmp_path)
    )
    assert isinstance(rows.features["image"], datasets.Image)
    assert rows.features["location"].length == ours[0]["location"].numel()
    for number, row in enumerate(rows):
        if row["image"] is not None:
            assert row["image"].size == (32, 32)  # decoded: a viewer shows it
            stream = io.BytesIO()
            row["image"].save(stream, "PNG")
            row["image"] = {"bytes": stream.getvalue()}
        check(row, ours[number], number)
