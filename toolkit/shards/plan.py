"""What a build will write, fixed before it starts: ``ShardConfig``, ``ShardPlan`` (plan.json).

The plan makes a build resumable and incremental. It consists of parts: one split of one table of records each, with the
inputs it is made from. Every shard has a fingerprint of all that decides its content; running again builds those whose
files are not there or have another one, and no others. Used by the builder; ``increment`` adds to a plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import package_version, read_json
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.grouping import by_picture, cut
from hmrtk.toolkit.shards.schema import MAP_NAMES, SCHEMA_VERSION
from hmrtk.toolkit.synthesis.scene import SceneConfig

PLAN_KIND = "hmrtk.shard-plan"
PLAN_NAME = "plan.json"
PLAN_VERSION = 2
ON_ERROR = ("refuse", "skip")
OF_A_PART = ("images", "synthesise", "on_error")
"""Fields of the configuration that may differ between the parts of a folder."""


@dataclass(frozen=True)
class ShardConfig:
    """How shards are built.

    Attributes:
        maps: which of ``iuv``, ``location``, ``joint``, ``displacement`` to store; the others stay null.
        images: folder that ``image_path`` is relative to.
        synthesise: make a picture for rows whose photograph is not there (``image_source`` says so).
        region_px: side of the picture; 400 px is about 222 px per crop box.
        iuv_px: side of the IUV map over the region; 100 px is 56 px per crop box (DaNet, PyMAF).
        uv_px: side of the UV-space maps (Best of Both).
        texture: ``vertex`` or ``face`` (``maps.iuv``).
        joint_set: joints of the joint map: ``lsp14`` (Best of Both) or ``smpl24``.
        expansion: crop box side over the tight box's longer side.
        rows_per_shard: rows of a file, about 100 MB with pictures and all maps.
        rows_per_group: rows of a row group, about 10 MB. Both are cut where a picture ends, so a little fewer.
        seed: of synthesised pictures.
        scene: how pictures are synthesised.
        on_error: a photograph that is missing or damaged: ``refuse`` stops, ``skip`` leaves its rows out and lists
            them.

    Raises:
        InputError: a size below 1. UnknownNameError: an unknown map, or another ``on_error``.
    """

    maps: tuple[str, ...] = MAP_NAMES
    images: Place | None = None
    synthesise: bool = False
    region_px: int = 400
    iuv_px: int = 100
    uv_px: int = 128
    texture: str = "vertex"
    joint_set: str = "lsp14"
    expansion: float = EXPANSION
    rows_per_shard: int = 500
    rows_per_group: int = 50
    seed: int = 0
    scene: SceneConfig = field(default_factory=SceneConfig)
    on_error: str = "refuse"

    def __post_init__(self) -> None:
        for name in self.maps:
            if name not in MAP_NAMES:
                raise UnknownNameError("map", name, MAP_NAMES)
        if self.on_error not in ON_ERROR:
            raise UnknownNameError("way to meet errors", self.on_error, ON_ERROR)
        for name in ("region_px", "iuv_px", "uv_px", "rows_per_shard", "rows_per_group"):
            if getattr(self, name) < 1:
                raise InputError(f"shard config: {name}", f"expected at least 1, got {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; maps in the schema's order."""
        images = None if self.images is None else str(self.images)
        value = {**asdict(self), "images": images, "maps": [m for m in MAP_NAMES if m in self.maps]}
        return dict(json.loads(json.dumps(value)))  # tuples become lists, as they will be when read back

    def of_folder(self) -> dict[str, Any]:
        """What all rows of a folder share."""
        return {name: value for name, value in self.to_json().items() if name not in OF_A_PART}


@dataclass(frozen=True)
class PlannedShard:
    """One file to write.

    Attributes:
        path: below the folder.
        split: train, val, ….
        count: rows.
        ids: fingerprint of their ``sample_id``.
        content: fingerprint of everything that decides what is in the file.
        groups: rows of the record table in each row group; empty when they are not in the table at hand.
    """

    path: str
    split: str
    count: int
    ids: str
    content: str
    groups: tuple[NDArray[np.int64], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "rows": self.count, "ids": self.ids, "content": self.content}


@dataclass(frozen=True)
class Part:
    """One split of one table of records.

    Attributes:
        split: its name.
        inputs: ``records`` (fingerprint of its rows), ``datasets`` (name → rows), ``images``, ``synthesise``, and the
            ``provenance`` of the records.
        shards: its files, in row order.
    """

    split: str
    inputs: dict[str, Any]
    shards: tuple[PlannedShard, ...]

    @property
    def rows(self) -> int:
        return sum(shard.count for shard in self.shards)

    def to_json(self) -> dict[str, Any]:
        return {"split": self.split, "inputs": self.inputs, "shards": [shard.to_json() for shard in self.shards]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Part:
        split = str(value["split"])
        shards = (PlannedShard(s["path"], split, s["rows"], s["ids"], s["content"]) for s in value["shards"])
        return cls(split, dict(value["inputs"]), tuple(shards))


@dataclass(frozen=True)
class ShardPlan:
    """Everything that decides the bytes of the shards.

    Attributes:
        common: what all parts share: package, body, configuration, conventions of the records.
        parts: in the order in which they were added.
    """

    common: dict[str, Any]
    parts: tuple[Part, ...]

    @classmethod
    def make(cls, records: RecordTable, config: ShardConfig, body: str) -> ShardPlan:
        """Cut each split of the records into files of ``rows_per_shard`` rows, in row order, but with all rows of a
        picture together at its first.

        Args:
            body: fingerprint of the body.

        Raises:
            InputError: a split whose name cannot be a folder.
        """
        conventions = {k: v for k, v in records.metadata.to_json().items() if k not in ("provenance", "body")}
        common = {
            "kind": PLAN_KIND,
            "schema_version": SCHEMA_VERSION,
            "plan_version": PLAN_VERSION,
            "package": package_version(),
            "body": body,
            "conventions": conventions,
            "config": config.of_folder(),
        }
        splits = np.asarray(records.table["split"].to_pylist(), object)
        parts = []
        for split in dict.fromkeys(splits):
            if not split or split.startswith(".") or "/" in split or "\\" in split:
                row = f"{records.place} row {int((splits == split).argmax())}"
                raise InputError(row, f"split {split!r} cannot name a folder")
            parts.append(_part(records, np.flatnonzero(splits == split), split, config, common))
        return cls(common, tuple(parts))

    @cached_property
    def shards(self) -> tuple[PlannedShard, ...]:
        """Of all parts, in order."""
        return tuple(shard for part in self.parts for shard in part.shards)

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.common["config"])

    def to_json(self) -> dict[str, Any]:
        return {**self.common, "parts": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, value: Any) -> ShardPlan:
        """Build from ``to_json``.

        Raises:
            ValueError: something else.
        """
        if not isinstance(value, dict) or value.get("kind") != PLAN_KIND or value.get("plan_version") != PLAN_VERSION:
            raise ValueError("another kind or version")
        try:
            parts = tuple(Part.from_json(part) for part in value["parts"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"damaged: {error!r}") from None
        return cls({k: v for k, v in value.items() if k != "parts"}, parts)

    @classmethod
    def read(cls, root: Place) -> ShardPlan:
        """The plan of a folder.

        Raises:
            InputError: none there, damaged, or of another version.
        """
        try:
            return cls.from_json(read_json(root / PLAN_NAME))
        except ValueError as error:
            raise InputError(root / PLAN_NAME, f"is not a shard plan of this version ({error})") from None

    def differences(self, old: ShardPlan) -> list[str]:
        """What differs from the plan of before, as ``name: old, now new``."""
        return common_differences(old, self) or _part_differences(old.parts, self.parts)


def common_differences(old: ShardPlan, new: ShardPlan) -> list[str]:
    """What differs of that which all parts share."""
    flat_old, flat_new = ({**plan.common, **plan.common["conventions"], **plan.common["config"]} for plan in (old, new))
    names = [n for n in (*flat_new, *flat_old) if n not in ("conventions", "config")]
    return [
        f"{n}: {flat_old.get(n)}, now {flat_new.get(n)}"
        for n in dict.fromkeys(names)
        if flat_old.get(n) != flat_new.get(n)
    ]


def fingerprint_of(value: Any) -> str:
    """16 hex digits of plain JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _part(
    records: RecordTable, rows: NDArray[np.int64], split: str, config: ShardConfig, common: dict[str, Any]
) -> Part:
    names = records.table["image_path"].take(rows).to_pylist()
    rows = rows[by_picture(names)]
    names = records.table["image_path"].take(rows).to_pylist()
    ordered = records.take(rows)
    inputs = {"images": None if config.images is None else str(config.images), "synthesise": config.synthesise}
    shards, prints, start = [], [], 0
    for number, size in enumerate(cut(names, config.rows_per_shard)):
        of_shard = RecordTable(ordered.table.slice(start, size), records.metadata, records.place)
        sizes = cut(names[start : start + size], config.rows_per_group)
        groups = tuple(np.split(rows[start : start + size], np.cumsum(sizes)[:-1]))
        prints.append(of_shard.fingerprint)
        content = fingerprint_of([common, inputs, prints[-1]])
        ids = fingerprint_of(of_shard.sample_ids)
        shards.append(PlannedShard(shard_path(split, number), split, size, ids, content, groups))
        start += size
    datasets = ordered.table["dataset"].to_pylist()
    facts = {
        "records": fingerprint_of(prints),
        "datasets": {name: datasets.count(name) for name in dict.fromkeys(datasets)},
        "provenance": json.loads(json.dumps(records.metadata.provenance)),
    }
    return Part(split, {**inputs, **facts}, tuple(shards))


def shard_path(split: str, number: int) -> str:
    """Where a shard lies below the folder."""
    return f"{split}/shard-{number:05d}.parquet"


def _part_differences(old: Sequence[Part], new: Sequence[Part]) -> list[str]:
    if [part.split for part in old] != [part.split for part in new]:
        listed = (" + ".join(f"{part.split} {part.rows}" for part in parts) for parts in (old, new))
        return ["rows: {}, now {}".format(*listed)]
    for before, after in zip(old, new, strict=True):
        for name in ("images", "synthesise", "records"):
            one, other = before.inputs.get(name), after.inputs.get(name)
            if one != other:
                return [f"{name}: {one}, now {other}"]
    return []
