"""``ShardIndex``: the list of a shard folder's files with their hashes, configuration and provenance (index.json).

The builder writes it last, so a folder with an index is complete. The reader, ``verify_shards`` and the command line
read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import read_json, write_json
from hmrtk.toolkit.records.remote import Place, located
from hmrtk.toolkit.shards.schema import SCHEMA_VERSION

INDEX_KIND = "hmrtk.shard-index"
INDEX_NAME = "index.json"


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
    """

    path: str
    split: str
    rows: int
    row_groups: tuple[int, ...]
    bytes: int
    sha256: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any], place: str) -> ShardEntry:
        """Check and build.

        Raises:
            InputError: a key is missing, the path leaves the folder, or the counts contradict each other.
        """
        missing = [f.name for f in fields(cls) if f.name not in value]
        if missing:
            raise InputError(place, f"a shard entry has no {', '.join(missing)}", "build the shards again")
        entry = cls(**{f.name: value[f.name] for f in fields(cls)})
        entry = cls(**{**vars(entry), "row_groups": tuple(entry.row_groups)})
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
    """

    root: Place
    shards: tuple[ShardEntry, ...]
    config: dict[str, Any]
    provenance: dict[str, Any]
    body: str
    prototypes: str | None
    conventions: dict[str, Any]

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

    def write(self) -> None:
        """Write ``root/index.json`` atomically."""
        value = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("root", "shards")}
        value |= {"kind": INDEX_KIND, "schema_version": SCHEMA_VERSION, "rows": self.rows, "splits": self.splits}
        value["shards"] = [asdict(shard) for shard in self.shards]
        write_json(self.root / INDEX_NAME, value)

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
        keys = [f.name for f in fields(cls) if f.name != "root"]
        missing = [k for k in keys if k not in value]
        if missing:
            raise InputError(place, f"has no {', '.join(missing)}", "build the shards again")
        shards = tuple(ShardEntry.from_json(v, str(place)) for v in value["shards"])
        return cls(root=folder, shards=shards, **{k: value[k] for k in keys if k != "shards"})


def _check_kind(value: Any, place: Place) -> None:
    if not isinstance(value, dict) or value.get("kind") != INDEX_KIND:
        raise InputError(place, f"expected {INDEX_KIND}, got another JSON file")
    if value["schema_version"] > SCHEMA_VERSION:
        found = value["schema_version"]
        raise InputError(place, f"has schema version {found}, this hmrtk reads up to {SCHEMA_VERSION}", "upgrade hmrtk")
