"""Adding to a folder of shards: the plan of what is there, joined with the plan of other records (``--append``).

In: two plans. Out: one, in which shards that stay have their names. A table of records that the folder holds already,
with rows changed or added at the end, goes on where it is; any other becomes a part of its own, in shards with the next
free numbers. Used by the builder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.plan import (
    Part,
    PlannedShard,
    ShardPlan,
    common_differences,
    fingerprint_of,
    shard_path,
)
from hmrtk.toolkit.shards.rows import open_shard


def joined(old: ShardPlan, new: ShardPlan, records: RecordTable, root: Place) -> ShardPlan:
    """The plan of a folder with the parts of other records added, or in the place of those that they continue.

    Args:
        old: of the folder.
        new: of the records, as if they were alone.
        root: the folder.

    Raises:
        InputError: another configuration, body or conventions (named); fewer rows than the folder has of the same
            records; a ``sample_id`` that the folder has from elsewhere.
    """
    differences = common_differences(old, new)
    if differences:
        remedy = "one folder has one configuration; choose another folder"
        raise InputError(root, f"holds shards built differently: {'; '.join(differences)}", remedy)
    parts, taken = list(old.parts), {shard.path for shard in old.shards}
    for part in new.parts:
        place = next((i for i, known in enumerate(parts) if _continues(part, known, records)), None)
        if place is None:
            _refuse_known_ids(part, parts, records, root)
            parts.append(_named(part, (), taken))
            continue
        if part.rows < parts[place].rows:
            have, given = parts[place].rows, part.rows
            problem = f"has {given} rows of {part.split}, but {root} holds {have} of the same records"
            raise InputError(records.place, problem, "give all of them; nothing is taken away by --append")
        _refuse_known_ids(part, [p for i, p in enumerate(parts) if i != place], records, root)
        parts[place] = _named(part, parts[place].shards, taken)
    return replace(new, parts=tuple(parts))


def _continues(part: Part, known: Part, records: RecordTable) -> bool:
    """Whether a part holds the rows of a known one: at least one shard has the same ``sample_id`` in the same order."""
    if part.split != known.split:
        return False
    start, ids = 0, _ids(part, records)
    for shard in known.shards:
        if fingerprint_of(ids[start : start + shard.count]) == shard.ids:
            return True
        start += shard.count
    return False


def _ids(part: Part, records: RecordTable) -> list[str]:
    """The ``sample_id`` of a part's rows, in the order of its shards."""
    rows = pa.concat_arrays([pa.array(group) for shard in part.shards for group in shard.groups])
    return list(records.table["sample_id"].take(rows).to_pylist())


def _named(part: Part, known: tuple[PlannedShard, ...], taken: set[str]) -> Part:
    """The part with the names of known shards first, then with the next free numbers of its split."""
    free = _free_paths(part.split, taken)
    paths = [shard.path for shard in known[: len(part.shards)]]
    paths += [next(free) for _ in part.shards[len(paths) :]]
    return replace(part, shards=tuple(replace(s, path=p) for s, p in zip(part.shards, paths, strict=True)))


def _free_paths(split: str, taken: set[str]) -> Iterator[str]:
    number = 0
    while True:
        path = shard_path(split, number)
        if path not in taken:
            taken.add(path)
            yield path
        number += 1


def _refuse_known_ids(part: Part, others: list[Part], records: RecordTable, root: Place) -> None:
    ids = set(_ids(part, records))
    for shard in (shard for other in others for shard in other.shards):
        if not (root / shard.path).is_file():
            continue
        file, _ = open_shard(root / shard.path)
        with file:
            known = file.read(columns=["sample_id"])["sample_id"].to_pylist()
        twice = next((name for name in known if name in ids), None)
        if twice is not None:
            problem = f"sample_id {twice!r} is already in {root / shard.path}"
            raise InputError(records.place, problem, "give the whole table it came from, or other ids")
