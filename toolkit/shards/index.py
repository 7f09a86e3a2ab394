"""``ShardIndex``: the list of a shard folder's files with their hashes, configuration and provenance (index.json).

The builder writes it last, so a folder with an index is complete. The reader, ``verify_shards`` and the command line
read it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import json_bytes, open_input, read_json, write_bytes
from hmrtk.toolkit.records.remote import Place, located
from hmrtk.toolkit.shards.schema import SCHEMA_VERSION

INDEX_KIND = "hmrtk.shard-index"
INDEX_NAME = "index.json"
LABELS_NAME = "labels.parquet"
"""The label file beside the shards (``shard_labels``)."""


@dataclass(frozen=True)
class ShardEntry:
    """One shard file.

    Attributes:
        path: below the folder of the shards, with forward slashes.
        split: train, val, test, ….
        rows: number of rows.
        row_groups: rows of each row group, in order.
        bytes: file size.
        sha256: of the whole file, hex.
        left_out: (sample_id, why) of each planned row that is not in the file (``--on-error skip``).
    """

    path: str
    split: str
    rows: int
    row_groups: tuple[int, ...]
    bytes: int
    sha256: str
    left_out: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any], place: str) -> ShardEntry:
        """Check and build.

        Raises:
            InputError: a key is missing, the path leaves the folder, or the counts contradict each other.
        """
        missing = [name for name in _required(cls) if name not in value]
        if missing:
            raise InputError(place, f"a shard entry has no {', '.join(missing)}", "build the shards again")
        left_out = tuple((str(name), str(why)) for name, why in value.get("left_out", ()))
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        entry = cls(**{**known, "row_groups": tuple(value["row_groups"]), "left_out": left_out})
        path = PurePosixPath(entry.path)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(place, f"shard path {entry.path!r} leaves the folder")
        if sum(entry.row_groups) != entry.rows:
            raise InputError(place, f"{entry.path}: row groups hold {sum(entry.row_groups)} rows, not {entry.rows}")
        return entry


@dataclass(frozen=True)
class ShardIndex:
    """What ``index.json`` says.

    Attributes:
        root: the folder; not part of the file.
        shards: in row order.
        config: the builder's configuration.
        provenance: command, package version, input fingerprints, seed (``records.artefact.provenance``).
        body: fingerprint of the body the maps were made with.
        prototypes: fingerprint of the PrototypeSet of the labels, or None.
        conventions: the record table's tags (joint set, root, frames, units).
        labels: the label file beside the shards (``shard_labels``): its sha256; None where there is none.
        plan: from which inputs it was built, part by part: plan.json, but for parts that are not finished.
    """

    root: Place
    shards: tuple[ShardEntry, ...]
    config: dict[str, Any]
    provenance: dict[str, Any]
    body: str
    prototypes: str | None
    conventions: dict[str, Any]
    labels: str | None = None
    plan: dict[str, Any] | None = None

    @property
    def splits(self) -> dict[str, int]:
        """Rows of each split."""
        counts: dict[str, int] = {}
        for shard in self.shards:
            counts[shard.split] = counts.get(shard.split, 0) + shard.rows
        return counts

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    def entries(self, split: str | None = None) -> tuple[ShardEntry, ...]:
        """The shards of a split (of all when None), in row order.

        Raises:
            UnknownNameError: no such split; the message lists those there are.
        """
        if split is not None and split not in self.splits:
            raise UnknownNameError("split", split, self.splits)
        return tuple(s for s in self.shards if split is None or s.split == split)

    @property
    def left_out(self) -> list[str]:
        """``<sample_id>: <why>`` of every row that is not there though it was in the records."""
        return [f"{name}: {why}" for shard in self.shards for name, why in shard.left_out]

    def write(self) -> None:
        """Write ``root/index.json`` atomically."""
        value = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("root", "shards")}
        value |= {"kind": INDEX_KIND, "schema_version": SCHEMA_VERSION, "rows": self.rows, "splits": self.splits}
        value["shards"] = [asdict(shard) for shard in self.shards]
        write_bytes(self.root / INDEX_NAME, _sealed(value))

    @classmethod
    def read(cls, root: str | Place) -> ShardIndex:
        """Read and check ``root/index.json``.

        Raises:
            InputError: no folder, no index (the build did not finish), another kind, a newer version, or damage.
        """
        folder = located(root)
        place = folder / INDEX_NAME
        if not folder.is_dir():
            raise InputError(folder, "no such folder of shards", "make it with build-shards")
        if not place.is_file():
            raise InputError(folder, f"has no {INDEX_NAME}: the build has not finished", "run build-shards again")
        value = read_json(place)
        _check_kind(value, place)
        try:
            return cls._of_json(value, folder)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(place, f"is damaged: {error!r}", "run build-shards again") from None

    @classmethod
    def _of_json(cls, value: dict[str, Any], folder: Place) -> ShardIndex:
        place = folder / INDEX_NAME
        missing = [name for name in _required(cls) if name not in value and name != "root"]
        if missing:
            raise InputError(place, f"has no {', '.join(missing)}", "build the shards again")
        shards = tuple(ShardEntry.from_json(v, str(place)) for v in value["shards"])
        rest = {f.name: value[f.name] for f in fields(cls) if f.name in value and f.name not in ("root", "shards")}
        return cls(root=folder, shards=shards, **rest)


def index_is_sealed(root: Place) -> bool:
    """Whether ``root/index.json`` has exactly the bytes that were written: no bit flipped, nothing edited."""
    with open_input(root / INDEX_NAME) as stream:
        data = stream.read()
    value = read_json(root / INDEX_NAME)
    return isinstance(value, dict) and data == _sealed({k: v for k, v in value.items() if k != "seal"})


def _sealed(value: dict[str, Any]) -> bytes:
    """JSON with ``seal``, the sha256 of the JSON without it."""
    return json_bytes({**value, "seal": hashlib.sha256(json_bytes(value)).hexdigest()})


def _required(cls: type) -> list[str]:
    return [f.name for f in fields(cls) if f.default is dataclasses.MISSING]


def _check_kind(value: Any, place: Place) -> None:
    if not isinstance(value, dict) or value.get("kind") != INDEX_KIND:
        raise InputError(place, f"expected {INDEX_KIND}, got another JSON file")
    found = value.get("schema_version")
    if not isinstance(found, int):
        raise InputError(place, "has no schema version", "run build-shards again")
    if found > SCHEMA_VERSION:
        raise InputError(place, f"has schema version {found}, this hmrtk reads up to {SCHEMA_VERSION}", "upgrade hmrtk")
