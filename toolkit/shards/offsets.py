"""Where each row's picture lies in its shard: the offset index, which makes access to any row one read.

In: a shard folder. Out: for every shard the byte range and CRC-32 of each row's picture, kept beside the shards as
``.offsets/<split>/shard-00000.safetensors`` (hidden, so that tools that read the folder's Parquet files pass it by).
The builder makes them (``write_offsets``); in a folder that has none they are made on first use. Used by ``ShardMap``.

It works because the writer stores pictures raw and PLAIN: a byte range of the Parquet file is a JPEG. The offset index
names the sha256 of its shard and holds a CRC-32 of its own numbers: a stale or damaged one is made again.
"""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records.artefact import open_input, write_bytes
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.index import ShardEntry, ShardIndex
from hmrtk.toolkit.shards.lists import NULL, picture_ranges
from hmrtk.toolkit.shards.pages import PageError
from hmrtk.toolkit.shards.rows import RowGroups

FOLDER = ".offsets"


@dataclass(frozen=True)
class Offsets:
    """Of one shard.

    Attributes:
        ranges: (N, 2) int64 first byte in the file and length of each row's picture; start −1 where there is none.
        crc: (N,) uint32 CRC-32 of those bytes; 0 where there are none.
    """

    ranges: NDArray[np.int64]
    crc: NDArray[np.uint32]


def offsets_place(root: Place, shard: ShardEntry | str) -> Place:
    """Where the offset index of a shard (or of the shard at a path below the folder) is kept."""
    *folders, name = (shard if isinstance(shard, str) else shard.path).split("/")
    place = root / FOLDER
    for part in (*folders, name.removesuffix(".parquet") + ".safetensors"):
        place = place / part
    return place


def shard_offsets(index: ShardIndex, entry: ShardEntry, save_new: bool = True) -> Offsets:
    """The offset index of a shard: the one that is kept, if it is this shard's, else made from the shard.

    Args:
        save_new: keep one that was made; a folder that cannot be written is left as it is.

    Raises:
        InputError: the shard is missing or damaged.
    """
    kept = _read(index.root, entry)
    if kept is not None:
        return kept
    made = _make(index, entry)
    if save_new:
        with contextlib.suppress(OutputError):
            _write(index.root, entry, made)
    return made


def write_offsets(folder: str | Place | ShardIndex) -> int:
    """Make the offset index of every shard that has none, a stale or a damaged one; how many were made.

    Args:
        folder: of the shards, or its index, be it not written yet.

    Raises:
        InputError: a shard is missing or damaged. OutputError: the folder cannot be written.
    """
    index, made = folder if isinstance(folder, ShardIndex) else ShardIndex.read(folder), 0
    for entry in index.shards:
        if _read(index.root, entry) is None:
            _write(index.root, entry, _make(index, entry))
            made += 1
    return made


def offsets_problem(index: ShardIndex, entry: ShardEntry) -> str | None:
    """What is wrong with the offset index that is kept of a sound shard; None when all is well, or none is kept."""
    place = offsets_place(index.root, entry)
    if not place.is_file():
        return None
    with open_input(place) as stream:
        same = stream.read() == _packed(entry, _make(index, entry))
    return None if same else f"{place}: is not the offset index of its shard"


def _make(index: ShardIndex, entry: ShardEntry) -> Offsets:
    groups = RowGroups(replace(index, shards=(entry,)), None)
    ranges, crc = [], []
    for group in range(len(groups.places)):
        try:
            chunk = groups.chunk(group, "image.bytes")
            found = picture_ranges(chunk.data, chunk.levels, groups.sizes[group])
        except (PageError, LookupError) as error:
            raise InputError(
                groups.name(group), f"is damaged: {error}", "run verify-shards, then build again"
            ) from None
        there = found[:, 0] != NULL
        crc += [zlib.crc32(chunk.data[a : a + n]) if ok else 0 for (a, n), ok in zip(found, there, strict=True)]
        found[there, 0] += chunk.start
        ranges.append(found)
    return Offsets(np.concatenate(ranges), np.array(crc, np.uint32))


def _write(root: Place, entry: ShardEntry, offsets: Offsets) -> None:
    write_bytes(offsets_place(root, entry), _packed(entry, offsets))


def _packed(entry: ShardEntry, offsets: Offsets) -> bytes:
    digest = np.frombuffer(bytes.fromhex(entry.sha256), np.uint8)
    arrays = {"ranges": offsets.ranges, "crc": offsets.crc, "sha256": digest, "check": _check(offsets)}
    return bytes(save(arrays))


def _check(offsets: Offsets) -> NDArray[np.uint32]:
    """(1,) CRC-32 of the numbers."""
    return np.array([zlib.crc32(offsets.crc.tobytes(), zlib.crc32(offsets.ranges.tobytes()))], np.uint32)


def _read(root: Place, entry: ShardEntry) -> Offsets | None:
    """The kept offset index; None when there is none, or it is damaged or of another shard."""
    try:
        with open_input(offsets_place(root, entry)) as stream:
            kept = load(stream.read())
        offsets = Offsets(kept["ranges"], kept["crc"])
        same = kept["sha256"].tobytes().hex() == entry.sha256 and (kept["check"] == _check(offsets)).all()
    except (InputError, SafetensorError, KeyError):
        return None
    whole = offsets.ranges.shape == (entry.rows, 2) and offsets.crc.shape == (entry.rows,)
    return offsets if same and whole else None
