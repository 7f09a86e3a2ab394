"""The offline path, stage by stage: raw files → records → prototypes and labels. From the same records
``shards.iuv_builder`` renders IUV maps and ``shards.builder`` builds shards.

Each stage takes records in memory, calls one part of the toolkit, and writes artefacts with their provenance. The
command line is a thin skin over this module; a script that imports it gets the same results.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.engine.cluster import RayEngine
from hmrtk.toolkit.errors import InputError, MissingDatasetError, UnknownNameError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.distributed import RemoteClustering
from hmrtk.toolkit.prototypes.kmeans import Fit, PrototypeConfig, fit_prototypes
from hmrtk.toolkit.prototypes.labels import Labels, write_labels
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.dense import dense_place
from hmrtk.toolkit.records.manifest import load_manifest
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place, files_in
from hmrtk.toolkit.records.salvage import read_sound
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.embedded import DATASET as EMBEDDED
from hmrtk.toolkit.sources.embedded import SPLITS, embedded_records
from hmrtk.toolkit.sources.registry import is_readable, open_source

# -- records ----------------------------------------------------------------------------------------------------------


def record_folder(workspace: Path, dataset: str) -> Path:
    """Where ``ingest`` puts the record tables of a dataset when nothing else is said."""
    return workspace / "records" / dataset


def ingest(
    dataset: str,
    fmt: str | None,
    root: Path | None,
    out: Place,
    body: BodyModel,
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    options: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> dict[str, RecordTable]:
    """Read raw files and write ``<out>/<split>.parquet``, and ``<out>/dense/<split>.parquet`` where the files have
    silhouettes or surface points.

    Args:
        dataset, fmt: names of the manifest and of one of its formats; None takes the first that can be read.
        root: the raw data. out: folder of the tables.
        split: write only this one. limit: at most so many rows per split. seed: of what is drawn.
        options: what the reader is told, name → text (``sources.options``).

    Raises:
        InputError: the raw files are missing or damaged, or hold nothing for ``split``; an unknown option or value.
    """
    source = open_source(dataset, fmt, options=options)
    if root is None and dataset != EMBEDDED:
        raise InputError(
            dataset, "the raw data's folder is not given", f"pass --root DIR; see: hmrtk datasets show {dataset}"
        )
    tables = source.ingest(root, body, seed=seed, limit=limit, progress=progress)
    if split is not None:
        if split not in tables:
            raise UnknownNameError(f"split of {dataset}", split, tables)
        tables = {split: tables[split]}
    for name, table in tables.items():
        place = out / f"{name}.parquet"
        table.write(place)
        if table.dense is not None:
            table.dense.write(dense_place(place))
        else:
            dense_place(place).unlink(missing_ok=True)  # of rows that are no more
    return tables


def load_records(
    body: BodyModel,
    workspace: Path,
    dataset: str = EMBEDDED,
    paths: Sequence[Place] = (),
    split: str = "train",
    limit: int | None = None,
    left_out: list[str] | None = None,
) -> RecordTable:
    """Records by file, or by the name of a dataset that is embedded or was ingested into the workspace.

    Args:
        body: the active body; the records must have been made with it.
        workspace: where ``ingest`` put its tables.
        dataset: used when ``paths`` is empty.
        paths: record tables; a folder stands for its ``<split>.parquet`` (every table when ``split`` is ``all``).
        split: train, val, test or all.
        limit: at most so many rows.
        left_out: receives the rows with NaN or absurd values, which are then left out; None refuses them.

    Raises:
        MissingDatasetError: the dataset was not ingested: its layout, where it comes from, and what to run.
        UnknownNameError: no such dataset.
        BodyMismatchError: the records were made with another body.
    """
    if not paths and dataset == EMBEDDED:
        splits = SPLITS if split == "all" else (split,)
        return RecordTable.concatenate([embedded_records(s, body, limit) for s in splits]).head(limit)
    if not paths:
        folder = record_folder(workspace, dataset)
        if not folder.is_dir():
            raise MissingDatasetError(_not_ingested(dataset, folder))
        paths = [folder]
    files = [file for path in paths for file in _record_files(path, split)]
    read = RecordTable.read if left_out is None else functools.partial(read_sound, left_out=left_out)
    records = RecordTable.concatenate([read(file) for file in files]).head(limit)
    records.require_body(body.fingerprint)
    return records


def _not_ingested(dataset: str, folder: Path) -> str:
    manifest = load_manifest(dataset)
    if any(is_readable(dataset, fmt) for fmt in manifest.formats):
        step = f"Then: hmrtk ingest --dataset {dataset} --root DIR, which writes {folder}/<split>.parquet."
    else:
        step = (
            f"This version does not read these files yet. Make {folder}/<split>.parquet from them with "
            "hmrtk.toolkit.records (see README, Your own data)."
        )
    return f"{manifest.missing_message()}\n{step}"


def _record_files(path: Place, split: str) -> list[Place]:
    if not path.is_dir():
        return [path]
    files = files_in(path, "*.parquet")
    chosen_files = files if split == "all" else [f for f in files if f.stem == split]
    if not chosen_files:
        there = ", ".join(f.stem for f in files) or "none"
        raise InputError(path, f"has no {'record tables' if split == 'all' else split + '.parquet'}", f"there: {there}")
    return chosen_files


def dataset_name(records: RecordTable) -> str:
    """The dataset(s) the records come from, fit for a file name."""
    return "+".join(sorted(set(records.table["dataset"].to_pylist())))


def with_bodies(records: RecordTable) -> RecordTable:
    """The rows that have body parameters.

    Raises:
        InputError: no row has them.
    """
    have = records.has(*BODY_COLUMNS)
    if not have.any():
        raise InputError(records.place, "no row has body parameters (global_orient, body_pose, betas)")
    return records if have.all() else records.take(have)


# -- prototypes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PrototypeRun:
    """A finished ``build_prototypes``: the fit and where it was written."""

    fit: Fit
    path: Place
    labels_path: Place

    def summary(self) -> dict[str, Any]:
        """The numbers of the run as plain JSON values."""
        prototypes, labels = self.fit.prototypes, self.fit.labels
        return {
            "out": str(self.path),
            "labels": str(self.labels_path),
            "method": prototypes.metadata["method"],
            "k": len(prototypes),
            "samples": len(labels),
            "iterations": self.fit.iterations,
            "stopped": prototypes.metadata.get("stopped"),
            "certified": self.fit.certified,
            "rechecked": self.fit.rechecked,
            "objective": self.fit.objective,
            "mean_distance_mm": 1000 * float(labels.distance.mean()),
            "mean_distance_to_singular_mm": 1000 * float(labels.distance_to_singular.mean()),
            "fingerprint": prototypes.fingerprint,
            "body": prototypes.body,
        }


def prototype_path(workspace: Path, dataset: str, config: PrototypeConfig) -> Path:
    """Where ``build-prototypes`` writes when nothing else is said."""
    return workspace / "prototypes" / f"{dataset}-{config.method}-k{config.k}.safetensors"


def build_prototypes(
    records: RecordTable,
    body: BodyModel,
    config: PrototypeConfig,
    out: Place,
    progress: Progress = silent,
    start: PrototypeSet | None = None,
    engine: RayEngine | None = None,
) -> PrototypeRun:
    """Cluster the bodies of ``records``; write the set to ``out`` and its labels beside it (``.labels.parquet``).

    While it runs there is a third file (``.checkpoint``) beside them, from which a killed run goes on to the same
    bytes when it is started again with the same records and settings.

    Args:
        start: prototypes to start from.
        engine: a cluster whose workers hold the bodies (``p3dh`` and ``3dh``); None works here. The result is the same.
    """
    records = with_bodies(records)
    checkpoint = out.with_suffix(".checkpoint")
    inputs = {"records": records.fingerprint}
    with contextlib.ExitStack() as ended:
        there: dict[str, Any] = {}
        if engine is not None:
            remote = ended.enter_context(contextlib.closing(RemoteClustering(engine)))
            there = {"populate": remote.populate, "measured": remote.measure}
        fit = fit_prototypes(records.parameters(), body, config, progress, inputs, start, checkpoint, **there)
    labels_path = out.with_suffix(".labels.parquet")
    fit.prototypes.save(out)
    labels_meta = {"prototypes": fit.prototypes.fingerprint, "provenance": fit.prototypes.metadata["provenance"]}
    write_labels(labels_path, records.sample_ids, fit.labels, labels_meta)
    checkpoint.unlink(missing_ok=True)
    return PrototypeRun(fit, out, labels_path)


# -- labels -----------------------------------------------------------------------------------------------------------


def labelled(
    records: RecordTable, prototypes: PrototypeSet, body: BodyModel, progress: Progress = silent
) -> tuple[RecordTable, Labels]:
    """The records that have a body, and their labels: what the tail report starts from."""
    records = with_bodies(records)
    return records, assign(records.parameters(), prototypes, body, progress)
