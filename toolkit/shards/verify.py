"""``verify_shards``: is a folder of shards exactly what was built? Every byte, row and picture is looked at.

In: a folder with an index. Out: a ``VerifyReport`` whose problems name the file and, where there is one, the row.
Called by ``verify-shards`` and the quickstart.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.artefact import file_fingerprint, json_bytes, open_input
from hmrtk.toolkit.records.remote import Place, below, byte_size, files_in
from hmrtk.toolkit.shards.codec import column_array, decode_image
from hmrtk.toolkit.shards.index import INDEX_NAME, ShardEntry, ShardIndex, index_is_sealed
from hmrtk.toolkit.shards.offsets import offsets_problem
from hmrtk.toolkit.shards.plan import PLAN_NAME
from hmrtk.toolkit.shards.rows import RowGroups, open_shard, read_shard_labels
from hmrtk.toolkit.shards.schema import CHART_COUNT, shard_schema
from hmrtk.toolkit.wording import counted

STAGE = "verify"
MAX_METRES = 5.0
"""No point of a person is farther than this from the pelvis, nor from its joint."""
_NUMBERS = ("region", "region_affine", "crop_camera", "distance", "distance_to_singular")


@dataclass(frozen=True)
class VerifyReport:
    """What was looked at and what is wrong.

    Attributes:
        root: the folder.
        rows, shards, pictures: how many were read.
        problems: one line each; empty when all is well.
    """

    root: Place
    rows: int
    shards: int
    pictures: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {"rows": self.rows, "shards": self.shards, "pictures": self.pictures}
        return {"root": str(self.root), "ok": self.ok, **counts, "problems": list(self.problems)}

    def lines(self) -> list[str]:
        """The same for a person."""
        found = (
            f"{counted(self.rows, 'row')} in {counted(self.shards, 'shard')}, "
            f"{counted(self.pictures, 'picture')} decoded"
        )
        if self.ok:
            return [f"{self.root}: all well: {found}"]
        remedy = "run build-shards again: damaged shards are built anew"
        return [*self.problems, f"{self.root}: {counted(len(self.problems), 'problem')} in {found} ({remedy})"]


def verify_shards(root: Place | str, progress: Progress = silent) -> VerifyReport:
    """Check every byte of index and plan; every file's size, sha256, schema and row groups; that ``sample_id`` is
    unique; that every picture decodes to the region's size; that maps, labels and cameras are in range; that labels
    and offset indexes belong to their shards.

    Raises:
        InputError: there is no readable index, so there is nothing to compare with.
    """
    index = ShardIndex.read(root)
    if not index_is_sealed(index.root):
        problem = f"{index.root / INDEX_NAME}: is not what was written, so nothing can be compared with it"
        return VerifyReport(index.root, 0, 0, 0, (problem,))
    inspector = _Inspector(index)
    inspector.look_beside_the_shards()
    for shard in index.shards:
        inspector.look_at(shard)
        progress(STAGE, inspector.rows, index.rows, shard.path)
    inspector.look_for_strangers()
    return VerifyReport(
        index.root, inspector.rows, len(index.shards), inspector.pictures, tuple(dict.fromkeys(inspector.problems))
    )


class _Inspector:
    """Goes through the shards and collects problems."""

    def __init__(self, index: ShardIndex) -> None:
        self.index = index
        self.schema = shard_schema(int(index.config["iuv_px"]), int(index.config["uv_px"]))
        self.region_px = int(index.config["region_px"])
        self.groups = RowGroups(index, None)
        self.problems: list[str] = []
        self.seen: dict[str, str] = {}
        self.labelled: list[str] | None = None
        self.ends = dict(zip((s.path for s in index.shards), accumulate(s.rows for s in index.shards), strict=True))
        self.rows = self.pictures = 0

    def look_beside_the_shards(self) -> None:
        """The plan and the labels."""
        root = self.index.root
        if self.index.plan is not None:
            try:
                with open_input(root / PLAN_NAME) as stream:
                    if stream.read() != json_bytes(self.index.plan):
                        self.problems.append(f"{root / PLAN_NAME}: differs from the index: damaged, or a later build")
            except InputError as error:
                self.problems.append(str(error))
        if self.index.labels is not None:
            try:
                self.labelled = read_shard_labels(self.index)["sample_id"].to_pylist()
            except InputError as error:
                self.problems.append(str(error))
                self.groups = RowGroups(replace(self.index, labels=None), None)

    def look_at(self, shard: ShardEntry) -> None:
        path = self.index.root / shard.path
        try:
            self._check_bytes(path, shard)
            file, _ = open_shard(path)
            with file:
                self._check_layout(path, shard, file)
        except InputError as error:
            self.problems.append(str(error))
            return
        first = 0
        for group, (name, number) in enumerate(self.groups.places):
            if name == shard.path:
                self._check_group(path, shard, group, first)
                first += shard.row_groups[number]
        self._check_offsets(shard)
        self.rows += shard.rows

    def look_for_strangers(self) -> None:
        listed = {shard.path for shard in self.index.shards}
        for path in files_in(self.index.root, "*/*.parquet"):
            if below(path, self.index.root) not in listed:
                self.problems.append(f"{path}: is not in the index")

    def _check_bytes(self, path: Place, shard: ShardEntry) -> None:
        digest = file_fingerprint(path)
        if digest != shard.sha256:
            size = byte_size(path)
            length = f"{size} bytes, expected {shard.bytes}" if size != shard.bytes else f"{size} bytes as expected"
            self.problems.append(f"{path}: sha256 differs from the index ({length})")

    def _check_offsets(self, shard: ShardEntry) -> None:
        with contextlib.suppress(InputError):  # of a damaged shard, which has been named
            problem = offsets_problem(self.index, shard)
            if problem is not None:
                self.problems.append(problem)

    def _check_layout(self, path: Place, shard: ShardEntry, file: pq.ParquetFile) -> None:
        if file.schema_arrow.remove_metadata() != self.schema.remove_metadata():
            found = {field.name: field for field in file.schema_arrow}
            wrong = [f.name for f in self.schema if f.name not in found or found.pop(f.name) != f] + list(found)
            raise InputError(path, f"has another schema: column {', '.join(wrong) or 'order'}")
        groups = tuple(file.metadata.row_group(g).num_rows for g in range(file.num_row_groups))
        if groups != shard.row_groups:
            raise InputError(path, f"has row groups of {list(groups)} rows, the index says {list(shard.row_groups)}")

    def _check_group(self, path: Place, shard: ShardEntry, group: int, first: int) -> None:
        try:
            table = self.groups.read(group, self.schema.names)
        except InputError as error:
            self.problems.append(
                f"{error.place} (rows {first}-{first + self.groups.sizes[group] - 1}): {error.problem}"
            )
            return
        self._check_ids(path, table, first, self.ends[shard.path] - shard.rows + first)
        self._check_pictures(path, table, first)
        for name, bad, problem in _out_of_range(table, self.schema):
            rows = np.flatnonzero(bad)
            if len(rows):
                self.problems.append(f"{path} row {first + rows[0]}: {name} {problem}")

    def _check_ids(self, path: Place, table: pa.Table, first: int, of_all: int) -> None:
        """``of_all``: the number of the first row among the rows of all shards."""
        for row, name in enumerate(table["sample_id"].to_pylist(), start=first):
            if self.labelled is not None and self.labelled[of_all + row - first] != name:
                self.problems.append(f"{path} row {row}: the label file is of other rows")
            if name in self.seen:
                self.problems.append(f"{path} row {row}: sample_id {name!r} is already in {self.seen[name]}")
            self.seen[name] = f"{path} row {row}"

    def _check_pictures(self, path: Place, table: pa.Table, first: int) -> None:
        expected = (self.region_px, self.region_px, 3)
        sources = table["image_source"].to_pylist()
        for row, value in enumerate(pc.struct_field(table["image"].combine_chunks(), "bytes")):
            place = f"{path} row {first + row}"
            if value.is_valid != (sources[row] is not None):
                self.problems.append(f"{place}: image_source is {sources[row]!r}, but the picture says otherwise")
            if not value.is_valid:
                continue
            try:
                shape = decode_image(value.as_py(), f"{place}: picture").shape
            except InputError as error:
                self.problems.append(str(error))
                continue
            self.pictures += 1
            if shape != expected:
                self.problems.append(f"{place}: picture has shape {shape}, expected {expected}")


def _out_of_range(table: pa.Table, schema: pa.Schema) -> list[tuple[str, NDArray[np.bool_], str]]:
    """(column, (n,) bad rows, what is wrong) for everything that has a range."""

    def rows_where(bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(bad.reshape(len(bad), -1).any(axis=1))

    def read(name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        return column_array(table[name], schema.field(name))

    found = []
    iuv, _ = read("iuv")
    charts = iuv[:, 0]
    found.append(("iuv", rows_where(charts > CHART_COUNT), f"has a chart beyond {CHART_COUNT}"))
    found.append(("iuv", rows_where((charts == 0) & (iuv[:, 1:] != 0).any(axis=1)), "has U or V on the background"))
    for name in ("location", "joint", "displacement"):
        values, valid = read(name)
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(values) <= MAX_METRES)
        found.append((name, rows_where(bad) & valid, f"is not finite or beyond {MAX_METRES:.0f} m"))
    visible, valid = read("part_visibility")
    found.append(("part_visibility", rows_where(~((visible >= 0) & (visible <= 1))) & valid, "is outside 0 … 1"))
    label, valid = read("label")
    found.append(("label", (label < 0) & valid, "is negative"))
    for name in _NUMBERS:
        values, valid = read(name)
        found.append((name, rows_where(~np.isfinite(values)) & valid, "has NaN or infinite values"))
    return found
