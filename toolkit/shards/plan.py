"""What a build will write, fixed before it starts: ``ShardConfig``, ``ShardPlan`` (plan.json).

The plan makes a build resumable: running again compares the inputs with it and continues with the shards that are not
there yet. Used by the builder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import package_version, read_json, write_json
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.index import INDEX_NAME
from hmrtk.toolkit.shards.schema import MAP_NAMES, SCHEMA_VERSION
from hmrtk.toolkit.synthesis.scene import SceneConfig

PLAN_KIND = "hmrtk.shard-plan"
PLAN_NAME = "plan.json"


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
        rows_per_group: rows of a row group, about 10 MB.
        seed: of synthesised pictures.
        scene: how pictures are synthesised.

    Raises:
        InputError: a size below 1. UnknownNameError: an unknown map.
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

    def __post_init__(self) -> None:
        for name in self.maps:
            if name not in MAP_NAMES:
                raise UnknownNameError("map", name, MAP_NAMES)
        for name in ("region_px", "iuv_px", "uv_px", "rows_per_shard", "rows_per_group"):
            if getattr(self, name) < 1:
                raise InputError(f"shard config: {name}", f"expected at least 1, got {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; maps in the schema's order."""
        images = None if self.images is None else str(self.images)
        value = {**asdict(self), "images": images, "maps": [m for m in MAP_NAMES if m in self.maps]}
        return dict(json.loads(json.dumps(value)))  # tuples become lists, as they will be when read back


@dataclass(frozen=True)
class PlannedShard:
    """One file to write: its path below the folder, its split, and which rows of the record table it holds."""

    path: str
    split: str
    rows: NDArray[np.int64]

    def groups(self, rows_per_group: int) -> list[NDArray[np.int64]]:
        """The rows of each row group."""
        return [self.rows[i : i + rows_per_group] for i in range(0, len(self.rows), rows_per_group)]


@dataclass(frozen=True)
class ShardPlan:
    """Everything that decides the bytes of the shards.

    Attributes:
        config: ``ShardConfig.to_json``.
        inputs: fingerprints of the records, the body, the prototypes and the labels.
        shards: the files, in row order.
    """

    config: dict[str, Any]
    inputs: dict[str, str]
    shards: tuple[PlannedShard, ...]

    @classmethod
    def make(cls, records: RecordTable, config: ShardConfig, inputs: Mapping[str, str]) -> ShardPlan:
        """Cut each split of the records, in row order, into files of ``rows_per_shard`` rows.

        Raises:
            InputError: a split whose name cannot be a folder.
        """
        splits = np.asarray(records.table["split"].to_pylist(), object)
        shards = []
        for split in dict.fromkeys(splits):
            if split in ("", ".", "..") or "/" in split or "\\" in split:
                row = f"{records.place} row {int((splits == split).argmax())}"
                raise InputError(row, f"split {split!r} cannot name a folder")
            rows = np.flatnonzero(splits == split)
            for number, first in enumerate(range(0, len(rows), config.rows_per_shard)):
                path = f"{split}/shard-{number:05d}.parquet"
                shards.append(PlannedShard(path, split, rows[first : first + config.rows_per_shard]))
        return cls(config.to_json(), dict(inputs), tuple(shards))

    def to_json(self) -> dict[str, Any]:
        files = [{"path": s.path, "rows": len(s.rows)} for s in self.shards]
        head = {"kind": PLAN_KIND, "schema_version": SCHEMA_VERSION, "package": package_version()}
        return {**head, "config": self.config, "inputs": self.inputs, "shards": files}

    @property
    def fingerprint(self) -> str:
        """16 hex digits, written into every shard, so that a shard of another build is never taken for one's own."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    def settle(self, root: Place) -> None:
        """Write ``root/plan.json``, or make sure that the one there is the same.

        Raises:
            InputError: the folder was built with another configuration, body or inputs; the differences are named.
        """
        place = root / PLAN_NAME
        if not place.exists():
            if (root / INDEX_NAME).exists():
                raise InputError(root, f"has an {INDEX_NAME} but no {PLAN_NAME}", "choose another folder, or overwrite")
            write_json(place, self.to_json())
            return
        differences = _differences(read_json(place), self.to_json())
        if differences:
            raise InputError(
                root,
                f"holds shards built differently: {'; '.join(differences)}",
                "choose another folder, or overwrite",
            )


def _differences(old: Any, new: dict[str, Any]) -> list[str]:
    """What differs, as ``name: old, now new``."""
    if not isinstance(old, dict) or old.get("kind") != PLAN_KIND:
        return [f"{PLAN_NAME} is not a shard plan"]
    flat_old = {**old, **old.get("config", {}), **old.get("inputs", {})}
    flat_new = {**new, **new["config"], **new["inputs"]}
    names = [n for n in flat_new if n not in ("config", "inputs", "shards") and flat_old.get(n) != flat_new[n]]
    names += [n for n in old.get("inputs", {}) if n not in flat_new]
    found = [f"{n}: {flat_old.get(n)}, now {flat_new.get(n)}" for n in names]
    return found or (["list of shards"] if old.get("shards") != new["shards"] else [])


def clear(root: Place, planned: Sequence[str]) -> None:
    """Remove a build: the index first, the plan last, so that a folder is never taken for a finished one."""
    (root / INDEX_NAME).unlink(missing_ok=True)
    for path in planned:
        (root / path).unlink(missing_ok=True)
    (root / PLAN_NAME).unlink(missing_ok=True)
