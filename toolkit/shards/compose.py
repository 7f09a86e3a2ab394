"""From records to the rows of one row group: region, camera, maps, picture.

In: a chunk of records. Out: a table of ``shard_schema``. The builder runs it over its workers; a row's content depends
on the row, the body and the configuration alone, never on its chunk.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import SMPLArrays
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.assignment import assigned_joints, displacement_map, joint_map, part_assignment
from hmrtk.toolkit.maps.atlas import Atlas, atlas_for_body
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.maps.onepiece import onepiece_for_body
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.maps.views import record_views
from hmrtk.toolkit.records.crops import REGION_FACTOR, Crops, record_crops
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.codec import array_column, image_column
from hmrtk.toolkit.shards.pictures import PhotoReader, row_generator, synthesised
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.shards.schema import (
    CHART_COUNT,
    LEFT_OUT_KEY,
    PHOTO,
    SYNTHESISED,
    array_shape,
    shard_schema,
)

UV_MAPS = ("location", "joint", "displacement")


@dataclass(frozen=True)
class Chunk:
    """The records of one row group.

    Attributes:
        records: the rows.
        numbers: (n,) their row numbers in the whole record table, for messages.
        name: the shard, for messages.
    """

    records: RecordTable
    numbers: NDArray[np.int64]
    name: str = ""

    def place(self, row: int) -> str:
        return f"{self.records.place} row {self.numbers[row]}"

    def without(self, rows: Sequence[int]) -> Chunk:
        """All rows but some."""
        kept = np.setdiff1d(np.arange(len(self.records)), rows)
        return Chunk(self.records.take(kept), self.numbers[kept], self.name)


@dataclass(frozen=True)
class Posed:
    """The bodies of a chunk's rows that have one and a camera to see it with.

    Attributes:
        rows: (m,) their rows in the chunk.
        body: vertices and joints, metres; in the camera frame, or body-centred where the crop camera places them.
        camera: m cameras whose pixels are those of the region, of side 1.
    """

    rows: NDArray[np.int64]
    body: Body
    camera: Projection

    def scaled(self, size: int) -> Projection:
        """The cameras for a region of ``size`` px."""
        return Projection(self.camera.matrix * size, self.camera.translation)


class Composer:
    """Callable: ``Chunk`` → ``pa.Table``. Picklable; what it needs beside the body is made at the first call.

    Args:
        arrays: of the body.
        config: how to build.
    """

    def __init__(self, arrays: SMPLArrays, config: ShardConfig) -> None:
        self.arrays, self.config = arrays, config
        self._own = threading.local()  # every thread opens pictures of its own

    def __getstate__(self) -> dict[str, Any]:
        return {"arrays": self.arrays, "config": self.config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _own=threading.local())

    @cached_property
    def body(self) -> BodyModel:
        """Poses with one thread: the builder's workers already use all cores."""
        return BodyModel(self.arrays, threads=1)

    @cached_property
    def schema(self) -> pa.Schema:
        return shard_schema(self.config.iuv_px, self.config.uv_px)

    @cached_property
    def atlas(self) -> Atlas:
        return atlas_for_body(self.body)

    @cached_property
    def uv_space(self) -> UVSpace:
        return UVSpace(onepiece_for_body(self.body), self.config.uv_px)

    @cached_property
    def assignment(self) -> NDArray[np.uint8]:
        return part_assignment(self.body, self.uv_space, self.config.joint_set)

    def __call__(self, chunk: Chunk) -> pa.Table:
        """Compose the rows.

        Returns:
            the table. Rows that ``on_error="skip"`` leaves out are named in its schema's metadata (``LEFT_OUT_KEY``).

        Raises:
            InputError: a photograph is missing or damaged (unless it is skipped); a row without a box.
        """
        crops = record_crops(chunk.records, self.body, self.config.expansion)
        photos, failed = self._photos(chunk, crops)
        if failed:
            photos = {row - sum(bad < row for bad in failed): picture for row, picture in photos.items()}
            left_out = [[chunk.records.sample_ids[row], why] for row, why in failed.items()]
            chunk = chunk.without(list(failed))
            if not len(chunk.records):
                return _marked(self.schema.empty_table(), left_out)
            crops = record_crops(chunk.records, self.body, self.config.expansion)
            return _marked(self._table(chunk, crops, photos), left_out)
        return self._table(chunk, crops, photos)

    def _table(self, chunk: Chunk, crops: Crops, photos: dict[int, bytes]) -> pa.Table:
        records = chunk.records
        posed = self._pose(records, crops)
        columns = {f.name: _record_column(records, f.name, self.schema.field(f.name)) for f in RECORD_SCHEMA}
        columns |= self._crop_columns(crops)
        columns |= self._pictures(records, posed, photos)
        columns |= self._maps(len(records), posed)
        missing = {f.name: pa.nulls(len(records), f.type) for f in self.schema if f.name not in columns}
        return pa.Table.from_pydict({f.name: (columns | missing)[f.name] for f in self.schema}, schema=self.schema)

    def _pose(self, records: RecordTable, crops: Crops) -> Posed:
        """The true perspective camera where ``transl``, ``focal`` and ``principal`` are known (the map then lies on the
        picture); else the crop camera, for the body-centred body.
        """
        views = record_views(records, crops)
        camera = views.through(crops.region_affine(1)[views.rows])
        return Posed(views.rows, self.body.pose(views.parameters), camera)

    def _crop_columns(self, crops: Crops) -> dict[str, pa.Array]:
        region = np.column_stack([crops.center, crops.side * REGION_FACTOR])
        return {
            "region": self._column("region", region),
            "region_affine": self._column("region_affine", crops.region_affine(self.config.region_px)),
            "crop_camera": self._column("crop_camera", crops.camera, crops.valid),
            "crop_camera_valid": pa.array(crops.valid),
        }

    def _maps(self, n: int, posed: Posed) -> dict[str, pa.Array]:
        wanted = set(self.config.maps)
        maps: dict[str, NDArray[Any]] = {}
        vertices, root = posed.body.vertices, posed.body.joints[:, 0]
        if "iuv" in wanted:
            size = self.config.iuv_px
            iuv = render_iuv_projected(vertices, posed.scaled(size), self.atlas, size, self.config.texture, threads=1)
            maps |= {"iuv": iuv, "part_visibility": part_visibility(iuv)}
        if wanted & {"location", "displacement"}:
            maps["location"] = self.uv_space.location(vertices, root, threads=1)
        if wanted & {"joint", "displacement"}:
            joints = assigned_joints(self.body, posed.body, self.config.joint_set)
            maps["joint"] = joint_map(joints, root, self.assignment)
        if "displacement" in wanted:
            maps["displacement"] = displacement_map(maps["location"], maps["joint"], self.assignment)
        return {k: self._spread(k, v, n, posed.rows) for k, v in maps.items() if k in wanted or k == "part_visibility"}

    def _photos(self, chunk: Chunk, crops: Crops) -> tuple[dict[int, bytes], dict[int, str]]:
        """Row → JPEG of its region, of every row that has a photograph; row → what is wrong, of those to leave out."""
        paths = chunk.records.table["image_path"].to_pylist()
        affine = crops.region_affine(self.config.region_px)
        reader = self._photo_reader()
        found: dict[int, bytes] = {}
        failed: dict[int, str] = {}
        for row, path in enumerate(paths):
            if path is None or self._synthesise_instead(reader, path, chunk.place(row)):
                continue
            assert reader is not None  # the builder has checked
            try:
                found[row] = reader.region(path, affine[row], self.config.region_px, chunk.place(row))
            except InputError as error:
                if self.config.on_error == "refuse":
                    raise
                failed[row] = str(error).removeprefix(f"{chunk.place(row)}: ")
        return found, failed

    def _photo_reader(self) -> PhotoReader | None:
        if self.config.images is None:
            return None
        if not hasattr(self._own, "photos"):
            self._own.photos = PhotoReader(self.config.images)
        return self._own.photos

    def _pictures(self, records: RecordTable, posed: Posed, photos: dict[int, bytes]) -> dict[str, pa.Array]:
        paths = records.table["image_path"].to_pylist()
        bodies = {int(row): i for i, row in enumerate(posed.rows)}
        pictures: list[bytes | None] = [photos.get(row) for row in range(len(paths))]
        sources: list[str | None] = [PHOTO if row in photos else None for row in range(len(paths))]
        appearances: list[str | None] = [None] * len(paths)
        for row, sample_id in enumerate(records.sample_ids):
            if self.config.synthesise and row not in photos and row in bodies:
                pictures[row], appearances[row] = self._synthesise(posed, bodies[row], sample_id)
                sources[row] = SYNTHESISED
        names = [path if source == PHOTO else None for path, source in zip(paths, sources, strict=True)]
        return {
            "image": image_column(pictures, names),
            "image_source": pa.array(sources, pa.string()),
            "appearance": pa.array(appearances, pa.string()),
        }

    def _synthesise_instead(self, photos: PhotoReader | None, path: str, place: str) -> bool:
        return self.config.synthesise and (photos is None or not photos.path(path, place).exists())

    def _synthesise(self, posed: Posed, body: int, sample_id: str) -> tuple[bytes, str]:
        size = self.config.region_px
        camera = posed.scaled(size)
        vertices = (posed.body.vertices[body] + camera.translation[body]).astype(np.float32)
        rng = row_generator(self.config.seed, sample_id)
        return synthesised(vertices, camera.matrix[body], size, self.body, rng, self.config.scene)

    def _column(self, name: str, values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> pa.Array:
        return array_column(values, self.schema.field(name), valid)

    def _spread(self, name: str, values: NDArray[Any], n: int, rows: NDArray[np.int64]) -> pa.Array:
        """A column of n rows from the values of some."""
        if len(rows) == n:
            return self._column(name, values)
        spread = np.zeros((n, *values.shape[1:]), values.dtype)
        spread[rows] = values
        valid = np.zeros(n, bool)
        valid[rows] = True
        return self._column(name, spread, valid)


def part_visibility(iuv: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Share of an IUV map's pixels that each chart covers.

    Args:
        iuv: (N, 3, S, S).

    Returns:
        (N, 24) float32, chart c+1 in column c; 0 = not visible; rows sum to the share of the foreground.
    """
    n, pixels = len(iuv), iuv.shape[2] * iuv.shape[3]
    flat = iuv[:, 0].reshape(n, pixels).astype(np.int64) + np.arange(n)[:, None] * (CHART_COUNT + 1)
    counts = np.bincount(flat.ravel(), minlength=n * (CHART_COUNT + 1)).reshape(n, CHART_COUNT + 1)
    return (counts[:, 1:] / pixels).astype(np.float32)


def _record_column(records: RecordTable, name: str, field: pa.Field) -> pa.Array:
    """A column of the record table with the shard's type: the same numbers, without the tensor extension."""
    column = records.table[name]
    if array_shape(field) is None:
        return column.combine_chunks()
    stored = [chunk.storage for chunk in column.chunks]
    return pa.concat_arrays(stored).cast(field.type)


def _marked(table: pa.Table, left_out: list[list[str]]) -> pa.Table:
    metadata = {**(table.schema.metadata or {}), LEFT_OUT_KEY: json.dumps(left_out).encode()}
    return table.replace_schema_metadata(metadata)
