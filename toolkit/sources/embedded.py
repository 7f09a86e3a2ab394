"""The dataset named ``embedded``: real motion capture that ships in the package, as record tables for any body.

In: the packaged tables of poses, shapes and cameras (``bake/embedded_dataset.py`` makes them and states the rules);
out: records with joints, keypoints and boxes of the active body. Every command uses it when no dataset is named.
"""

from __future__ import annotations

import functools
import importlib.resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.artefact import file_fingerprint, provenance, read_parquet
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

DATASET = "embedded"
SPLITS = ("train", "val", "test")
KIND, SCHEMA_VERSION = "hmrtk.embedded", 1


def embedded_records(split: str, body: BodyModel, limit: int | None = None, progress: Progress = silent) -> RecordTable:
    """The records of one split, with the columns that depend on the body computed for ``body``.

    Args:
        split: train (12 000 rows), val (2000) or test (2000). Rows are shuffled, so a prefix is a fair sample.
        body: the active body; its fingerprint goes into the table.
        limit: only the first so many rows.

    Raises:
        UnknownNameError: any other split.
        InputError: a limit below 1.
    """
    from hmrtk.toolkit.sources.projection import derived_columns

    if split not in SPLITS:
        raise UnknownNameError("split of embedded", split, SPLITS)
    if limit is not None and limit < 1:
        raise InputError("limit", f"expected at least 1 row, got {limit}")
    table, facts = _packaged(split)
    table = table.slice(0, limit)
    n = len(table)
    parameters = _parameters(table, facts["angle_unit"])
    focal = np.repeat(table["focal"].to_numpy()[:, None], 2, axis=1)
    camera: dict[str, Any] = {
        "focal": focal,
        "principal": np.broadcast_to(np.float32(facts["principal"]), (n, 2)),
        "image_size": np.broadcast_to(np.int32(facts["image_size"]), (n, 2)),
    }
    columns = {
        **_identity(table, split),
        **camera,
        "global_orient": parameters.global_orient,
        "body_pose": parameters.body_pose,
        "betas": parameters.betas,
        "transl": parameters.transl,
        "body_source": "mocap",
        "gender": "neutral",
        **derived_columns(parameters, body, **camera, place=f"embedded {split}", progress=progress),
    }
    source = {f"embedded_{split}.parquet": _fingerprint(split)}
    made = provenance("ingest", {"dataset": DATASET, "limit": limit}, body.fingerprint, source, facts["seed"])
    metadata = RecordMetadata(body=body.fingerprint, provenance=made)
    return RecordTable.from_columns(columns, metadata, f"embedded {split}")


class EmbeddedSource:
    """``Source`` of the embedded dataset: no files needed; ``root`` and ``seed`` change nothing (baked tables)."""

    def ingest(
        self,
        root: Path | None,
        body: BodyModel,
        *,
        seed: int = 0,
        limit: int | None = None,
        progress: Progress = silent,
    ) -> dict[str, RecordTable]:
        """All three splits; ``limit`` rows of each."""
        return {split: embedded_records(split, body, limit, progress) for split in SPLITS}


def packaged_path(split: str) -> Path:
    """The packaged table of a split; columns are documented in ``bake/embedded_dataset.py``."""
    return Path(str(importlib.resources.files("hmrtk.toolkit.sources"))) / "data" / f"embedded_{split}.parquet"


@functools.cache
def _packaged(split: str) -> tuple[pa.Table, dict[str, Any]]:
    return read_parquet(packaged_path(split), KIND, SCHEMA_VERSION)


@functools.cache
def _fingerprint(split: str) -> str:
    return file_fingerprint(packaged_path(split))


def _parameters(table: pa.Table, unit: float) -> BodyParameters:
    pose = (_rows(table, "pose") * np.float32(unit)).reshape(-1, 24, 3)
    betas = _rows(table, "betas") * np.float32(unit)
    return BodyParameters.of(pose[:, 0], pose[:, 1:], betas, _rows(table, "transl"))


def _rows(table: pa.Table, name: str) -> NDArray[Any]:
    """(N, width) of a fixed-size list column, sliced tables included."""
    column = table[name].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column.flatten().to_numpy().reshape(len(table), -1)


def _identity(table: pa.Table, split: str) -> dict[str, Any]:
    clips = table["clip"].to_pylist()
    mirrored = table["mirrored"].to_pylist()
    return {
        "sample_id": [f"{DATASET}/{split}/{clip}/{row:05d}" for row, clip in enumerate(clips)],
        "dataset": DATASET,
        "split": split,
        "subject": ["a-mirrored" if flipped else "a" for flipped in mirrored],
        "sequence": clips,
        "action": table["action"].to_pylist(),
        "frame": table["frame"].to_pylist(),
        "camera_id": "virtual",
    }
