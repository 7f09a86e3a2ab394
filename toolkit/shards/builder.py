"""``build_shards``: record tables → a folder of shards with its index. Resumable, incremental, locked, the same bytes
every time.

In: records, body, configuration, prototypes. Out: ``plan.json``, ``<out>/<split>/shard-00000.parquet …``, and, when
these are there, the offset indexes (``offsets``), ``labels.parquet`` (``shard_labels``), ``README.md``
(``dataset_card``) and last ``index.json``. Called by the command line. Nothing in the files depends on time, order of
work, number of workers or on how often the build was stopped and continued.

Shards whose content the inputs still decide as before stay as they are. An ``index.json`` that is there stays until
the new one is, unless one of its shards is made again: who reads the folder meanwhile reads the state of before.

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
from hmrtk.toolkit.records.artefact import file_fingerprint, provenance, write_json
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place, below, byte_size, files_in, located
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.compose import Chunk, Composer
from hmrtk.toolkit.shards.dataset_card import write_card
from hmrtk.toolkit.shards.increment import joined
from hmrtk.toolkit.shards.index import INDEX_NAME, LABELS_NAME, ShardEntry, ShardIndex
from hmrtk.toolkit.shards.lock import exclusive
from hmrtk.toolkit.shards.offsets import write_offsets
from hmrtk.toolkit.shards.pictures import require_image_folder
from hmrtk.toolkit.shards.plan import PLAN_NAME, PlannedShard, ShardConfig, ShardPlan, fingerprint_of
from hmrtk.toolkit.shards.rows import open_shard
from hmrtk.toolkit.shards.schema import shard_schema
from hmrtk.toolkit.shards.shard_labels import LabelSource, labels_fingerprint, labels_fit, write_shard_labels
from hmrtk.toolkit.shards.writer import left_out_rows, write_shard

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
        old = _old_plan(root, overwrite)
        plan = _settled(root, plan, old, records, overwrite, append)
        present = _finished(root, plan, config)
        missing = [shard for shard in plan.shards if shard.path not in present]
        _require_possible(root, plan, present, source is None and not overwrite)
        _prepare(root, plan, missing)
        if overwrite and source is None:
            (root / LABELS_NAME).unlink(missing_ok=True)
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


def _old_plan(root: Place, overwrite: bool) -> ShardPlan | None:
    """The plan of a folder, be it from its index where plan.json is damaged; None where there is none.

    Raises:
        InputError: neither can be read, and the folder is not to be overwritten.
    """
    remedy = "choose another folder, or pass --overwrite"
    try:
        if (root / PLAN_NAME).exists():
            return ShardPlan.read(root)
    except InputError as error:
        with contextlib.suppress(InputError, ValueError):
            return ShardPlan.from_json(ShardIndex.read(root).plan)
        if overwrite:
            return None
        raise InputError(error.place, error.problem, remedy) from None
    if (root / INDEX_NAME).exists() and not overwrite:
        raise InputError(root, f"has an {INDEX_NAME} but no {PLAN_NAME}", remedy)
    return None


def _settled(
    root: Place, plan: ShardPlan, old: ShardPlan | None, records: RecordTable, overwrite: bool, append: bool
) -> ShardPlan:
    """The plan of the folder as it shall be.

    Raises:
        InputError: the folder holds something else, and that is neither to stay nor to go; the differences are named.
    """
    if old is None or overwrite:
        return plan
    if append:
        return joined(old, plan, records, root)
    differences = plan.differences(old)
    if differences:
        remedy = "choose another folder, or pass --append to keep what is there, --overwrite to replace it"
        raise InputError(root, f"holds shards built differently: {'; '.join(differences)}", remedy)
    return plan


def _require_possible(root: Place, plan: ShardPlan, present: dict[str, ShardEntry], without_labels: bool) -> None:
    """Refuse what cannot be finished, before anything is changed."""
    missing = [shard for shard in plan.shards if shard.path not in present]
    strange = next((shard for shard in missing if not shard.groups), None)
    if strange is not None:
        remedy = "give its records with --append first"
        raise InputError(root / strange.path, "is of other records, and not there or damaged", remedy)
    if not without_labels or not (root / LABELS_NAME).is_file():
        return
    if missing or not labels_fit(root, [present[shard.path] for shard in plan.shards]):
        raise InputError(root, "has labels, and new rows would have none", "pass --prototypes as before")


def _prepare(root: Place, plan: ShardPlan, missing: list[PlannedShard]) -> None:
    """Write the plan; remove what is not in it, and an index whose shards change."""
    planned = {shard.path for shard in plan.shards}
    strange = [path for path in files_in(root, "*/shard-[0-9]*.parquet") if below(path, root) not in planned]
    changed = {shard.path for shard in missing} | {below(path, root) for path in strange}
    if (root / INDEX_NAME).exists() and not changed.isdisjoint(_listed(root)):
        (root / INDEX_NAME).unlink()
    write_json(root / PLAN_NAME, plan.to_json())
    folders = {root, *((root / shard.path).parent for shard in plan.shards)}
    for path in strange + [path for folder in folders for path in files_in(folder, ".*.tmp")]:
        path.unlink(missing_ok=True)  # temporary files are of a killed build: nobody else writes here now


def _listed(root: Place) -> set[str]:
    """The shards of the index that is there; where it is damaged, every one that lies there."""
    with contextlib.suppress(InputError):
        return {entry.path for entry in ShardIndex.read(root).shards}
    return {below(path, root) for path in files_in(root, "*/*.parquet")}


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


def _finished(root: Place, plan: ShardPlan, config: ShardConfig) -> dict[str, ShardEntry]:
    """The shards that are there, whole, and have the planned content. With an index, also by their hash: damage is
    built again. Shards of other records than those at hand are not read through: they could not be built again.
    """
    known: dict[str, ShardEntry] = {}
    if (root / INDEX_NAME).is_file():
        with contextlib.suppress(InputError):
            known = {entry.path: entry for entry in ShardIndex.read(root).shards}
    found = {}
    for shard in plan.shards:
        with contextlib.suppress(InputError):
            entry = _entry(root, shard, known.get(shard.path))
            if entry is not None and not (entry.left_out and shard.groups and config.on_error == "refuse"):
                found[shard.path] = entry
    return found


def _entry(root: Place, shard: PlannedShard, known: ShardEntry | None) -> ShardEntry | None:
    """What the index says of a finished shard; None when it is another one, or damaged."""
    file, metadata = open_shard(root / shard.path)
    with file:
        groups = tuple(file.metadata.row_group(g).num_rows for g in range(file.num_row_groups))
        left_out = left_out_rows(file.metadata.metadata)
    size = byte_size(root / shard.path)
    trusted = known is not None and not shard.groups and known.bytes == size
    digest = known.sha256 if known is not None and trusted else file_fingerprint(root / shard.path)
    whole = sum(groups) + len(left_out) == shard.count and (known is None or known.sha256 == digest)
    if not whole or (metadata.get("content"), metadata.get("shard")) != (shard.content, shard.path):
        return None
    return ShardEntry(shard.path, shard.split, sum(groups), groups, size, digest, left_out)
