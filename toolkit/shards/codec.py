"""Between NumPy arrays, pictures and shard columns, without loss (pictures: JPEG).

In: arrays and encoded pictures. Out: pyarrow columns, and back. Used by the builder, the reader and ``verify_shards``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import simplejpeg
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.shards.schema import IMAGE_TYPE, array_shape

JPEG_QUALITY = 92
_JPEG_MAGIC = b"\xff\xd8"


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Encode an RGB picture (H, W, 3) uint8 as JPEG of quality 92, 4:2:0."""
    picture = np.ascontiguousarray(image)
    return bytes(simplejpeg.encode_jpeg(picture, quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="420"))


def decode_image(data: bytes | memoryview, place: str) -> NDArray[np.uint8]:
    """Decode a JPEG (exactly) or any other picture OpenCV reads to (H, W, 3) uint8 RGB; EXIF rotation is ignored.

    Raises:
        InputError: truncated, damaged or not a picture; ``place`` names it.
    """
    if data[:2] == _JPEG_MAGIC:
        try:
            return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB"))
        except ValueError as error:
            raise InputError(place, f"is a damaged JPEG: {error}", "truncated or corrupt file") from None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if picture is None:
        raise InputError(place, "is not a picture that can be decoded", "expected JPEG or PNG")
    return np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8, copy=False)


def decode_image_into(data: bytes | memoryview, out: NDArray[np.uint8], place: str) -> None:
    """Decode a picture into ``out`` (H, W, 3), contiguous; a JPEG without a copy.

    Raises:
        InputError: as ``decode_image``, or a picture of another size.
    """
    if data[:2] != _JPEG_MAGIC:
        picture = decode_image(data, place)
    else:
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            if (height, width) == out.shape[:2]:
                simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=out)
                return
        except ValueError as error:
            raise InputError(place, f"is a damaged JPEG: {error}", "truncated or corrupt file") from None
        picture = decode_image(data, place)
    if picture.shape != out.shape:
        raise InputError(place, f"picture has shape {picture.shape}, expected {out.shape}")
    out[:] = picture


def binary_views(column: pa.BinaryArray) -> list[memoryview | None]:
    """The values of a column of bytes, as views of its buffer; None for null."""
    if not len(column):
        return []
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].tolist()
    valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool).tolist()
    view = memoryview(data if data is not None else b"").cast("B")
    return [view[ends[i] : ends[i + 1]] if valid[i] else None for i in range(len(column))]


def image_column(pictures: Sequence[bytes | None], paths: Sequence[str | None]) -> pa.Array:
    """Encoded pictures and their file names as the Image column; a row without a picture is null."""
    rows = [None if p is None else {"bytes": p, "path": n} for p, n in zip(pictures, paths, strict=True)]
    return pa.array(rows, IMAGE_TYPE)


def array_column(values: NDArray[Any], field: pa.Field, valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """An (N, *shape) array as a column of ``field``'s type; rows that are not ``valid`` are null (and hold zeros).

    Raises:
        InputError: the shape does not fit the field.
    """
    shape = array_shape(field)
    if shape is None or values.shape[1:] != shape:
        raise InputError(f"column {field.name}", f"expected rows of shape {shape}, got {values.shape[1:]}")
    flat = np.ascontiguousarray(values, field.type.value_type.to_pandas_dtype()).reshape(len(values), -1)
    mask = None
    if valid is not None and not valid.all():
        flat = np.where(valid[:, None], flat, flat.dtype.type(0))
        mask = pa.array(~valid)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), type=field.type, mask=mask)


def column_array(column: pa.Array | pa.ChunkedArray, field: pa.Field) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A column of arrays or numbers as ((N, *shape) values, (N,) validity); null rows hold NaN, or 0 for integers."""
    data = _one_chunk(column)
    valid = np.asarray(data.is_valid().to_numpy(zero_copy_only=False), bool)
    shape = array_shape(field)
    if shape is None:
        values = np.asarray(data.fill_null(_null_value(field.type)).to_numpy(zero_copy_only=False))
        return values, valid
    values = _list_values(data).reshape(-1, *shape)
    if not valid.all():
        values = values.copy()
        values[~valid] = np.nan if values.dtype.kind == "f" else 0
    return values, valid


def _list_values(data: pa.FixedSizeListArray) -> NDArray[Any]:
    """The numbers of a fixed-size-list array, straight from its buffer: ``to_numpy`` turns integers beside nulls to
    floats.
    """
    width, child = data.type.list_size, data.values
    dtype = child.type.to_pandas_dtype()
    if not len(data):
        return np.zeros(0, dtype)
    flat = np.frombuffer(child.buffers()[1], dtype)
    start = child.offset + data.offset * width
    return flat[start : start + len(data) * width]


def _one_chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _null_value(kind: pa.DataType) -> Any:
    if pa.types.is_floating(kind):
        return float("nan")
    return pa.scalar(0, pa.int8()).cast(kind)
