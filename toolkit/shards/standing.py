"""What a folder of shards holds before a build: its plan, its finished shards, and what has to go.

In: the folder and the plan of the records at hand. Out: the plan of the folder as it shall be, and the shards that can
stay. Used by the builder, which holds the folder's lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import file_fingerprint, write_json
from hmrtk.toolkit.records.remote import Place, below, byte_size, files_in
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.increment import joined
from hmrtk.toolkit.shards.index import INDEX_NAME, LABELS_NAME, ShardEntry, ShardIndex
from hmrtk.toolkit.shards.offsets import offsets_place
from hmrtk.toolkit.shards.plan import PLAN_NAME, Part, PlannedShard, ShardConfig, ShardPlan
from hmrtk.toolkit.shards.rows import open_shard
from hmrtk.toolkit.shards.shard_labels import labels_fit
from hmrtk.toolkit.shards.writer import left_out_rows


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


def settled_plan(root: Place, plan: ShardPlan, records: RecordTable, overwrite: bool, append: bool) -> ShardPlan:
    """The plan of the folder as it shall be.

    Args:
        plan: of the records, as if they were alone.
        overwrite: what is there shall go. append: it shall stay.

    Raises:
        InputError: the folder holds something else, and that is neither to stay nor to go; the differences are named.
            Or its plan cannot be read.
    """
    old = _old_plan(root, overwrite)
    if old is None or overwrite:
        return plan
    if append:
        return joined(old, plan, records, root)
    differences = plan.differences(old)
    if differences:
        remedy = "choose another folder, or pass --append to keep what is there, --overwrite to replace it"
        raise InputError(root, f"holds shards built differently: {'; '.join(differences)}", remedy)
    return plan


def require_possible(root: Place, plan: ShardPlan, present: dict[str, ShardEntry], without_labels: bool) -> None:
    """Refuse to lose something, before anything is changed: a shard of other records, or labels."""
    missing = [shard for shard in plan.shards if shard.path not in present]
    listed = _listed(root) if (root / INDEX_NAME).exists() else set()
    strange = next((shard for shard in missing if not shard.groups and shard.path in listed), None)
    if strange is not None:
        remedy = "give its records with --append first"
        raise InputError(root / strange.path, "is of other records, and not there or damaged", remedy)
    if not without_labels or not (root / LABELS_NAME).is_file():
        return
    entries = [present[shard.path] for part in plan.parts if is_finished(part, present) for shard in part.shards]
    if any(shard.groups for shard in missing) or not labels_fit(root, entries):
        raise InputError(root, "has labels, and new rows would have none", "pass --prototypes as before")


def is_finished(part: Part, present: Container[str]) -> bool:
    """Whether all shards of a part are there."""
    return all(shard.path in present for shard in part.shards)


def unfinished(index: ShardIndex) -> dict[str, int]:
    """Split → rows that are planned in a folder, but not in its index: of builds that were stopped."""
    done = ShardPlan.from_json(index.plan).parts if index.plan is not None else ()
    paths = {shard.path for part in done for shard in part.shards}
    rows: dict[str, int] = {}
    for part in ShardPlan.read(index.root).parts:
        if not is_finished(part, paths):
            rows[part.split] = rows.get(part.split, 0) + part.rows
    return rows


def prepare_folder(root: Place, plan: ShardPlan, missing: list[PlannedShard]) -> None:
    """Write the plan; remove what is not in it, and an index whose shards change."""
    planned = {shard.path for shard in plan.shards}
    strange = [path for path in files_in(root, "*/shard-[0-9]*.parquet") if below(path, root) not in planned]
    changed = {shard.path for shard in missing if shard.groups} | {below(path, root) for path in strange}
    if (root / INDEX_NAME).exists() and not changed.isdisjoint(_listed(root)):
        (root / INDEX_NAME).unlink()
    write_json(root / PLAN_NAME, plan.to_json())
    strange += [offsets_place(root, below(path, root)) for path in strange]
    for path in strange + _temporary_files(root, plan):
        path.unlink(missing_ok=True)


def _temporary_files(root: Place, plan: ShardPlan) -> list[Place]:
    """Those of a killed build: nobody else writes here now."""
    folders = {root}
    for shard in plan.shards:
        folders |= {(root / shard.path).parent, offsets_place(root, shard.path).parent}
    return [path for folder in folders for path in files_in(folder, ".*.tmp")]


def _listed(root: Place) -> set[str]:
    """The shards of the index that is there; where it is damaged, every one that lies there."""
    with contextlib.suppress(InputError):
        return {entry.path for entry in ShardIndex.read(root).shards}
    return {below(path, root) for path in files_in(root, "*/*.parquet")}


def finished_shards(root: Place, plan: ShardPlan, config: ShardConfig) -> dict[str, ShardEntry]:
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
