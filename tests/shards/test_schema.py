"""The schema keeps the record's columns, tells shapes, and carries the picture metadata other tools look for."""

from __future__ import annotations

import json

import pyarrow as pa

from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.shards.schema import IMAGE_TYPE, array_shape, shard_schema


def test_all_record_columns_come_first_with_their_shapes():
    schema = shard_schema()
    assert schema.names[: len(RECORD_SCHEMA)] == RECORD_SCHEMA.names
    for field in RECORD_SCHEMA:
        kind = field.type
        expected = tuple(kind.shape) if isinstance(kind, pa.FixedShapeTensorType) else None
        assert array_shape(schema.field(field.name)) == expected
        assert schema.field(field.name).nullable == field.nullable


def test_maps_have_the_designed_shapes_and_types():
    schema = shard_schema()
    assert array_shape(schema.field("iuv")) == (3, 100, 100)
    assert schema.field("iuv").type.value_type == pa.uint8()
    for name in ("location", "joint", "displacement"):
        assert array_shape(schema.field(name)) == (3, 128, 128)
        assert schema.field(name).type.value_type == pa.float16()
    assert array_shape(schema.field("region_affine")) == (2, 3)
    assert array_shape(shard_schema(iuv_px=56, uv_px=64).field("iuv")) == (3, 56, 56)


def test_no_column_uses_an_extension_type_that_other_tools_refuse():
    assert not [f.name for f in shard_schema() if isinstance(f.type, pa.BaseExtensionType)]


def test_pictures_are_declared_as_the_image_feature():
    schema = shard_schema()
    assert schema.field("image").type == IMAGE_TYPE == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}


def test_a_list_without_a_stated_shape_is_flat():
    assert array_shape(pa.field("x", pa.list_(pa.float32(), 6))) == (6,)
    assert array_shape(pa.field("x", pa.float32())) is None
