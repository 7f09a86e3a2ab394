"""``build_shards``: record tables → a folder of shards with its index. Resumable, incremental, locked, the same bytes
every time.

In: records, body, configuration, prototypes. Out: ``plan.json``, ``<out>/<split>/shard-00000.parquet …``, and, when
these are there, the offset indexes (``offsets``), ``labels.parquet`` (``shard_labels``), ``README.md``
(``dataset_card``) and last ``index.json``. Called by the command line. Nothing in the files depends on time, order of
work, number of workers or on how often the build was stopped and continued.

Shards whose content the inputs still decide as before stay as they are. An ``index.json`` that is there stays until
the new one is, unless one of its shards is made again: who reads the folder meanwhile reads the state of before. The
index lists the parts of the plan that are whole; one of other records whose build was stopped waits for these records.

The work runs in threads: kernels, JPEG and Parquet release the interpreter lock, and a worker process takes seconds to
start and its own copy of body and panoramas.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.engine.choice import Engine
from hmrtk.toolkit.engine.local import LocalEngine
from hmrtk.toolkit.engine.worker import processors
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import atlas_for_body
from hmrtk.toolkit.maps.onepiece import onepiece_for_body
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import provenance
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place, located
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.compose import Chunk, Composer
from hmrtk.toolkit.shards.dataset_card import write_card
from hmrtk.toolkit.shards.index import LABELS_NAME, ShardEntry, ShardIndex
from hmrtk.toolkit.shards.lock import exclusive
from hmrtk.toolkit.shards.offsets import write_offsets
from hmrtk.toolkit.shards.pictures import require_image_folder
from hmrtk.toolkit.shards.plan import PlannedShard, ShardConfig, ShardPlan, fingerprint_of
from hmrtk.toolkit.shards.schema import shard_schema
from hmrtk.toolkit.shards.shard_labels import LabelSource, labels_fingerprint, write_shard_labels
from hmrtk.toolkit.shards.standing import (
    finished_shards,
    is_finished,
    prepare_folder,
    require_possible,
    settled_plan,
)
from hmrtk.toolkit.shards.writer import write_shard

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
    append: bool = False,
) -> ShardIndex:
    """Build the shards of all splits of ``records``, continue a build that was stopped, or bring one up to date.

    Args:
        records: made with ``body``; every row has ``bbox_xyxy``.
        out: folder; holds shards of one configuration and body.
        config: defaults to ``ShardConfig()``.
        prototypes: their labels are stored beside the rows that have a body. Other ones than before change nothing
            but the labels.
        labels: of every row of ``records``, in order; None assigns them from ``prototypes``.
        workers: threads; default: the processors this process may use. Does not change any byte.
        progress: told after every row group.
        overwrite: the folder shall hold ``records`` and nothing else, whatever it holds now.
        engine: where to work, instead of ``workers`` threads here.
        append: add ``records`` to what the folder holds, or bring its rows of them up to date (``increment``).

    Raises:
        BodyMismatchError: records or prototypes of another body.
        InputError: records that do not validate; a row without a box; a photograph that is missing or damaged (its row
            is named); another build in ``out``; labels of another length, or none where the folder has some.
        OutputError: ``out`` cannot be written, the disk is full, or another process builds there. What is complete
            stays; running again continues.
    """
    root, config = located(out), config or ShardConfig()
    _check(records, body, config, prototypes, labels)
    source = LabelSource.of(prototypes, labels, records.sample_ids)
    plan = ShardPlan.make(records, config, body.fingerprint)
    with exclusive(root):
        plan = settled_plan(root, plan, records, overwrite, append)
        present = finished_shards(root, plan, config)
        missing = [shard for shard in plan.shards if shard.path not in present]
        require_possible(root, plan, present, source is None and not overwrite)
        prepare_folder(root, plan, missing)
        if overwrite and source is None:
            (root / LABELS_NAME).unlink(missing_ok=True)
        missing = [shard for shard in missing if shard.groups]
        if missing:
            engine = engine or LocalEngine(workers or processors(), "thread")
            written = _write(root, plan, missing, records, Composer(body.arrays, config), engine, progress)
            present |= {entry.path: entry for entry in written}
        index = _index(root, plan, present)
        write_offsets(index)
        if source is not None:
            write_shard_labels(root, index.shards, source, body, progress)
        index = _with_labels(index)
        write_card(index)
        index.write()
    return index


def _index(root: Place, plan: ShardPlan, entries: dict[str, ShardEntry]) -> ShardIndex:
    """Of the parts that are whole."""
    plan = replace(plan, parts=tuple(part for part in plan.parts if is_finished(part, entries)))
    body, config = str(plan.common["body"]), plan.config
    inputs = {"body": body, "records": fingerprint_of([part.inputs["records"] for part in plan.parts])}
    return ShardIndex(
        root=root,
        shards=tuple(entries[shard.path] for shard in plan.shards),
        config=config,
        provenance=provenance("build-shards", config, body, inputs, config["seed"]),
        body=body,
        prototypes=None,
        conventions=plan.common["conventions"],
        plan=plan.to_json(),
    )


def _with_labels(index: ShardIndex) -> ShardIndex:
    labels, prototypes = labels_fingerprint(index.root)
    inputs = index.provenance["inputs"] | ({} if prototypes is None else {"prototypes": prototypes})
    origin = index.provenance | {"inputs": inputs}
    return replace(index, labels=labels, prototypes=prototypes, provenance=origin)


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


def _write(
    root: Place,
    plan: ShardPlan,
    missing: list[PlannedShard],
    records: RecordTable,
    composer: Composer,
    engine: Engine,
    progress: Progress,
) -> Iterator[ShardEntry]:
    """Write the missing shards one after the other; their row groups are composed ahead by the engine."""
    schema = shard_schema(composer.config.iuv_px, composer.config.uv_px)
    total = sum(shard.count for shard in plan.shards)
    done = total - sum(shard.count for shard in missing)

    def chunks() -> Iterator[Chunk]:
        for shard in missing:
            for rows in shard.groups:
                yield Chunk(records.take(rows), rows, shard.path)

    def counted(tables: Iterator[pa.Table], shard: PlannedShard) -> Iterator[pa.Table]:
        nonlocal done
        for table, rows in zip(tables, shard.groups, strict=True):
            yield table
            done += len(rows)
            progress(STAGE, done, total, shard.path)

    progress(STAGE, done, total)
    results = engine.map_ordered(composer, chunks(), lambda c: f"{c.name} rows {c.numbers[0]}-{c.numbers[-1]}")
    with contextlib.closing(results):  # type: ignore[type-var]
        for shard in missing:
            groups = counted(itertools.islice(results, len(shard.groups)), shard)
            metadata = {"content": shard.content, "shard": shard.path}
            yield write_shard(root, shard.path, shard.split, groups, schema, metadata)
