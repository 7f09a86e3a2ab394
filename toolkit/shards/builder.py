"""``build_shards``: record tables → a folder of shards with its index. Resumable, locked, the same bytes every time.

In: records, body, configuration, prototypes. Out: ``<out>/<split>/shard-00000.parquet …``, ``plan.json`` and, when all
is there, ``index.json``. Called by the pipeline. Nothing in the files depends on time, order of work, number of workers
or on how often the build was stopped and continued.

The work runs in threads: kernels, JPEG and Parquet release the interpreter lock, and a worker process takes seconds to
start and its own copy of body and panoramas.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.engine.choice import Engine
from hmrtk.toolkit.engine.local import LocalEngine
from hmrtk.toolkit.engine.worker import processors
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import atlas_for_body
from hmrtk.toolkit.maps.onepiece import onepiece_for_body
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import file_fingerprint, provenance
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place, below, byte_size, files_in, located
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.compose import Chunk, Composer
from hmrtk.toolkit.shards.index import INDEX_NAME, ShardEntry, ShardIndex
from hmrtk.toolkit.shards.lock import exclusive
from hmrtk.toolkit.shards.pictures import require_image_folder
from hmrtk.toolkit.shards.plan import PlannedShard, ShardConfig, ShardPlan, clear
from hmrtk.toolkit.shards.rows import open_shard
from hmrtk.toolkit.shards.schema import shard_schema
from hmrtk.toolkit.shards.writer import write_shard

LABEL_COLUMNS = ("label", "distance", "distance_to_singular")
STAGE = "shards"


def build_shards(
    records: RecordTable,
    body: BodyModel,
    out: Place | str,
    config: ShardConfig | None = None,
    prototypes: PrototypeSet | None = None,
    labels: Labels | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
    engine: Engine | None = None,
) -> ShardIndex:
    """Build the shards of all splits of ``records``, or continue a build that was stopped.

    Args:
        records: made with ``body``; every row has ``bbox_xyxy``.
        out: folder; holds one build.
        config: defaults to ``ShardConfig()``.
        prototypes: their labels are stored with the rows that have a body.
        labels: of every row of ``records``, in order; None assigns them from ``prototypes``.
        workers: threads; default: the processors this process may use. Does not change any byte.
        progress: told after every row group.
        overwrite: replace a build with another configuration, body or inputs.
        engine: where to work, instead of ``workers`` threads here.

    Raises:
        BodyMismatchError: records or prototypes of another body.
        InputError: records that do not validate; a row without a box; a photograph that is missing or damaged (its row
            is named); another build in ``out``; labels of another length.
        OutputError: ``out`` cannot be written, the disk is full, or another process builds there. What is complete
            stays; running again continues.
    """
    root, config = located(out), config or ShardConfig()
    _check(records, body, config, prototypes, labels)
    plan = ShardPlan.make(records, config, _fingerprints(records, body, prototypes, labels))
    with exclusive(root):
        if overwrite:
            _make_room(root, plan)
        plan.settle(root)
        _remove_leftovers(root, plan)
        present = _finished(root, plan)
        missing = [shard for shard in plan.shards if shard.path not in present]
        if missing:
            (root / INDEX_NAME).unlink(missing_ok=True)
            values = _labels(records, body, prototypes, labels, progress)
            engine = engine or LocalEngine(workers or processors(), "thread")
            written = _write(root, plan, missing, records, values, Composer(body.arrays, config), engine, progress)
            present |= {entry.path: entry for entry in written}
        index = _index(root, plan, present, records, body, prototypes)
        index.write()
    return index


def _check(
    records: RecordTable,
    body: BodyModel,
    config: ShardConfig,
    prototypes: PrototypeSet | None,
    labels: Labels | None,
) -> None:
    records.validate()
    records.require_body(body.fingerprint)
    if prototypes is not None:
        prototypes.check_body(body)
    if labels is not None and len(labels) != len(records):
        raise InputError("labels", f"expected one per record ({len(records)}), got {len(labels)}")
    boxed = records.has("bbox_xyxy")
    if not boxed.all():
        raise InputError(f"{records.place} row {int((~boxed).argmax())}", "has no bbox_xyxy, so it has no region")
    with_photo = records.has("image_path")
    if config.images is None and with_photo.any() and not config.synthesise:
        row = f"{records.place} row {int(with_photo.argmax())}"
        raise InputError(row, "has an image_path, but no image folder is given", "pass --images DIR or --synthesise")
    require_image_folder(config.images)
    if records.has(*BODY_COLUMNS).any():
        if "iuv" in config.maps:
            atlas_for_body(body)
        if set(config.maps) - {"iuv"}:
            onepiece_for_body(body)


def _fingerprints(
    records: RecordTable, body: BodyModel, prototypes: PrototypeSet | None, labels: Labels | None
) -> dict[str, str]:
    inputs = {"records": records.fingerprint, "body": body.fingerprint}
    if prototypes is not None:
        inputs["prototypes"] = prototypes.fingerprint
    if labels is not None:
        blob = b"".join(np.ascontiguousarray(getattr(labels, name)).tobytes() for name in LABEL_COLUMNS)
        inputs["labels"] = hashlib.sha256(blob).hexdigest()[:16]
    return inputs


def _labels(
    records: RecordTable,
    body: BodyModel,
    prototypes: PrototypeSet | None,
    labels: Labels | None,
    progress: Progress,
) -> dict[str, NDArray[np.float64]]:
    """The label columns of every row as float64, NaN in rows without a body; empty without prototypes."""
    if labels is not None:
        return {name: np.asarray(getattr(labels, name), np.float64) for name in LABEL_COLUMNS}
    if prototypes is None:
        return {}
    rows = np.flatnonzero(records.has(*BODY_COLUMNS))
    values = {name: np.full(len(records), np.nan) for name in LABEL_COLUMNS}
    if len(rows):
        found = assign(records.take(rows).parameters(), prototypes, body, progress)
        for name in LABEL_COLUMNS:
            values[name][rows] = getattr(found, name)
    return values


def _write(
    root: Place,
    plan: ShardPlan,
    missing: list[PlannedShard],
    records: RecordTable,
    labels: dict[str, NDArray[np.float64]],
    composer: Composer,
    engine: Engine,
    progress: Progress,
) -> Iterator[ShardEntry]:
    """Write the missing shards one after the other; their row groups are composed ahead by the engine."""
    per_group = composer.config.rows_per_group
    schema = shard_schema(composer.config.iuv_px, composer.config.uv_px)
    total = sum(len(shard.rows) for shard in plan.shards)
    done = total - sum(len(shard.rows) for shard in missing)

    def chunks() -> Iterator[Chunk]:
        for shard in missing:
            for rows in shard.groups(per_group):
                yield Chunk(records.take(rows), rows, {k: v[rows] for k, v in labels.items()}, shard.path)

    def counted(tables: Iterator[pa.Table], note: str) -> Iterator[pa.Table]:
        nonlocal done
        for table in tables:
            yield table
            done += table.num_rows
            progress(STAGE, done, total, note)

    progress(STAGE, done, total)
    results = engine.map_ordered(composer, chunks(), lambda c: f"{c.name} rows {c.numbers[0]}-{c.numbers[-1]}")
    with contextlib.closing(results):  # type: ignore[type-var]
        for shard in missing:
            groups = counted(itertools.islice(results, len(shard.groups(per_group))), shard.path)
            metadata = {"plan": plan.fingerprint, "shard": shard.path}
            yield write_shard(root, shard.path, shard.split, groups, schema, metadata)


def _finished(root: Place, plan: ShardPlan) -> dict[str, ShardEntry]:
    """The shards that are there, whole, and of this plan. With an index, also by their hash: damage is built again."""
    known: dict[str, str] = {}
    if (root / INDEX_NAME).is_file():
        with contextlib.suppress(InputError):
            known = {entry.path: entry.sha256 for entry in ShardIndex.read(root).shards}
    found = {}
    for shard in plan.shards:
        with contextlib.suppress(InputError):
            file, metadata = open_shard(root / shard.path)
            with file:
                groups = tuple(file.metadata.row_group(g).num_rows for g in range(file.num_row_groups))
            digest = file_fingerprint(root / shard.path)
            whole = sum(groups) == len(shard.rows) and known.get(shard.path, digest) == digest
            if whole and (metadata.get("plan"), metadata.get("shard")) == (plan.fingerprint, shard.path):
                size = byte_size(root / shard.path)
                found[shard.path] = ShardEntry(shard.path, shard.split, sum(groups), groups, size, digest)
    return found


def _index(
    root: Place,
    plan: ShardPlan,
    entries: dict[str, ShardEntry],
    records: RecordTable,
    body: BodyModel,
    prototypes: PrototypeSet | None,
) -> ShardIndex:
    return ShardIndex(
        root=root,
        shards=tuple(entries[shard.path] for shard in plan.shards),
        config=plan.config,
        provenance=provenance("build-shards", plan.config, body.fingerprint, plan.inputs, plan.config["seed"])
        | {"records": records.metadata.provenance},
        body=body.fingerprint,
        prototypes=None if prototypes is None else prototypes.fingerprint,
        conventions={k: v for k, v in records.metadata.to_json().items() if k not in ("provenance", "body")},
    )


def _make_room(root: Place, plan: ShardPlan) -> None:
    """Remove another build from the folder; one of the same plan stays and is continued."""
    with contextlib.suppress(InputError):
        plan.settle(root)
        return
    clear(root, [below(path, root) for path in files_in(root, "*/shard-[0-9]*.parquet")])


def _remove_leftovers(root: Place, plan: ShardPlan) -> None:
    """Temporary files of a killed build; nobody else is writing, because the folder is locked."""
    for folder in {root, *((root / shard.path).parent for shard in plan.shards)}:
        for path in files_in(folder, ".*.tmp"):
            path.unlink(missing_ok=True)
