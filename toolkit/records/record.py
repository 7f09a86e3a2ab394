"""The record table's schema: one row is one person in one image (DESIGN: record table).

Fixed shapes are Arrow ``fixed_shape_tensor`` columns. A column that a dataset cannot fill is null, never a made-up
value. ``joint_set`` of both ``keypoints2d`` and ``joints3d`` is ``spin24``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

KIND = "hmrtk.records"
SCHEMA_VERSION = 1
NEUTRAL, PER_RECORD = "neutral", "record"
"""``RecordMetadata.gender``."""
GENDERED = ("male", "female")


def tensor(*shape: int, dtype: pa.DataType | None = None) -> pa.DataType:
    """A fixed-shape tensor column type, float32 unless said otherwise."""
    return pa.fixed_shape_tensor(dtype or pa.float32(), shape)


RECORD_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("subject", pa.string()),
        pa.field("sequence", pa.string()),
        pa.field("action", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("camera_id", pa.string()),
        pa.field("image_path", pa.string()),  # relative to the dataset's image root
        pa.field("image_size", tensor(2, dtype=pa.int32())),  # height, width, px
        pa.field("bbox_xyxy", tensor(4)),  # px, full image
        pa.field("gender", pa.string()),  # neutral | male | female
        pa.field("global_orient", tensor(3)),  # axis-angle, camera frame
        pa.field("body_pose", tensor(23, 3)),
        pa.field("betas", tensor(10)),
        pa.field("transl", tensor(3)),  # metres, camera frame
        pa.field("body_source", pa.string()),  # mosh | spin_fit | eft | mocap | …
        pa.field("keypoints2d", tensor(24, 3)),  # px, px, confidence 0..1
        pa.field("joints3d", tensor(24, 4)),  # metres (camera frame), confidence 0..1
        pa.field("focal", tensor(2)),  # px
        pa.field("principal", tensor(2)),  # px
    ]
)

BODY_COLUMNS = ("global_orient", "body_pose", "betas")


@dataclass(frozen=True)
class RecordMetadata:
    """Conventions and provenance of a record table, kept in the Parquet file's metadata.

    Attributes:
        gender: whose body the parameters are of: ``neutral`` in all rows, or ``record``: as each row's column says
            (null there means neutral). ``RecordTable`` sets it by its rows.
    """

    joint_set: str = "spin24"
    regressor: str = "smpl24+extra9"
    root: str = "pelvis"
    camera_frame: str = "x right, y down, z forward"
    units: str = "metres, radians, pixels"
    gender: str = NEUTRAL
    body: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RecordMetadata:
        return cls(**{k: value[k] for k in cls.__dataclass_fields__ if k in value})
