"""The shard schema: a record's columns, its picture, its region, its maps and its labels.

In: the sizes of the maps. Out: a pyarrow schema with the metadata that makes other tools show pictures. Used by the
writer, ``verify_shards`` and the reader.

Arrays are flat ``fixed_size_list`` columns in row-major order, their shape in the field's metadata: Hugging Face
``datasets`` (5.2) refuses a file with Arrow's ``fixed_shape_tensor``, and pandas, Polars and DuckDB read the lists.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from hmrtk.toolkit.records.record import RECORD_SCHEMA

KIND = "hmrtk.shard"
SCHEMA_VERSION = 1
SHAPE_KEY = b"shape"
LEFT_OUT_KEY = b"hmrtk.left_out"
"""Metadata of a file: JSON of [sample_id, why] of the rows that were to be in it and are not."""

MAP_NAMES = ("iuv", "location", "joint", "displacement")
CHART_COUNT = 24
PHOTO, SYNTHESISED = "photo", "synthesised"

LABELS_KIND = "hmrtk.shard-labels"
LABELS_VERSION = 1
LABEL_COLUMNS = ("label", "distance", "distance_to_singular")

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""Hugging Face's Image feature."""


def array_field(name: str, shape: Sequence[int], dtype: pa.DataType, nullable: bool = True) -> pa.Field:
    """A column of arrays of one shape: a flat fixed-size list with the shape in the field's metadata."""
    size = 1
    for side in shape:
        size *= side
    metadata = {SHAPE_KEY: json.dumps(list(shape)).encode()}
    element = pa.field("element", dtype)  # Parquet's own name, so that a file's schema comes back equal
    return pa.field(name, pa.list_(element, size), nullable=nullable, metadata=metadata)


def array_shape(field: pa.Field) -> tuple[int, ...] | None:
    """The shape of one row of an array column; None for scalar, string and image columns."""
    if not pa.types.is_fixed_size_list(field.type):
        return None
    raw = (field.metadata or {}).get(SHAPE_KEY)
    return tuple(json.loads(raw)) if raw else (field.type.list_size,)


def shard_schema(iuv_px: int = 100, uv_px: int = 128) -> pa.Schema:
    """The columns of a shard.

    Args:
        iuv_px: side of ``iuv``, which covers the region: 100 px is 56 px per crop box.
        uv_px: side of the UV-space maps.

    Columns beyond the record table's:
        image: JPEG of the region, or null; image_source: ``"photo"``, ``"synthesised"`` or null (no picture).
        appearance: JSON of what the synthesised person wears and stands in.
        region: (3,) centre x, centre y, side of the region, px of the full image.
        region_affine: (2, 3) full-image px → region px.
        crop_camera: (3,) s, tx, ty of the crop (side b, 224 px frame); null where it cannot be solved.
        crop_camera_valid: whether ``crop_camera`` is there.
        iuv: (3, iuv_px, iuv_px) chart, round(255·U), round(255·V) over the region; null without a body.
        location, joint, displacement: (3, uv_px, uv_px) metres, root-relative, one-piece UV; null without a body.
        part_visibility: (24,) share of the IUV map's pixels that chart c+1 covers; 0 = not visible.
        label, distance, distance_to_singular: prototype index and metres; null in the files, whose labels lie beside
            them (``label_schema``), so that other prototypes do not change a shard. Readers put them here.
    """
    record = [_record_field(field) for field in RECORD_SCHEMA]
    uv_shape = (3, uv_px, uv_px)
    own = [
        pa.field("image", IMAGE_TYPE),
        pa.field("image_source", pa.string()),
        pa.field("appearance", pa.string()),
        array_field("region", (3,), pa.float32(), nullable=False),
        array_field("region_affine", (2, 3), pa.float32(), nullable=False),
        array_field("crop_camera", (3,), pa.float32()),
        pa.field("crop_camera_valid", pa.bool_(), nullable=False),
        array_field("iuv", (3, iuv_px, iuv_px), pa.uint8()),
        array_field("location", uv_shape, pa.float16()),
        array_field("joint", uv_shape, pa.float16()),
        array_field("displacement", uv_shape, pa.float16()),
        array_field("part_visibility", (CHART_COUNT,), pa.float32()),
        pa.field("label", pa.int32()),
        pa.field("distance", pa.float32()),
        pa.field("distance_to_singular", pa.float32()),
    ]
    features = {"info": {"features": {"image": {"_type": "Image"}}}}
    return pa.schema(record + own, metadata={b"huggingface": json.dumps(features).encode()})


def label_schema() -> pa.Schema:
    """The columns of the label file beside the shards, one row per row of the folder; null without a body."""
    kinds = (pa.int32(), pa.float32(), pa.float32())
    columns = [pa.field(name, kind) for name, kind in zip(LABEL_COLUMNS, kinds, strict=True)]
    return pa.schema([pa.field("sample_id", pa.string(), nullable=False), *columns])


def _record_field(field: pa.Field) -> pa.Field:
    if isinstance(field.type, pa.FixedShapeTensorType):
        return array_field(field.name, field.type.shape, field.type.value_type, field.nullable)
    return field
