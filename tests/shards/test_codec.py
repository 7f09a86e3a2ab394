"""Arrays and pictures survive the way into a shard column and back."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.shards.codec import array_column, column_array, decode_image, encode_jpeg, image_column
from hmrtk.toolkit.shards.schema import array_field


@pytest.fixture
def smooth():
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 3, y * 4, (x + y) * 2], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("dtype", [pa.float32(), pa.float16(), pa.uint8(), pa.int32()])
@pytest.mark.parametrize("valid", [[True] * 4, [True, False, True, False], [False] * 4])
def test_arrays_come_back_and_null_rows_are_nan_or_zero(dtype, valid):
    values = np.arange(24).reshape(4, 2, 3)
    field = array_field("x", (2, 3), dtype)
    column = array_column(values, field, np.array(valid))
    back, found = column_array(column, field)
    assert found.tolist() == valid
    assert back.dtype == np.dtype(dtype.to_pandas_dtype())
    assert (back[found] == values[found]).all()
    empty = back[~found]
    assert np.isnan(empty).all() if back.dtype.kind == "f" else (empty == 0).all()


def test_slices_and_chunks_are_read_at_their_own_offset():
    field = array_field("x", (2,), pa.float32())
    column = array_column(np.arange(10.0).reshape(5, 2), field, np.array([True, True, False, True, True]))
    assert column_array(column.slice(3), field)[0].tolist() == [[6, 7], [8, 9]]
    assert column_array(pa.chunked_array([column, column.slice(4)]), field)[0][-1].tolist() == [8, 9]
    assert column_array(column.slice(0, 0), field)[0].shape == (0, 2)


def test_scalar_columns_fill_nulls():
    values, valid = column_array(pa.array([1, None, 3], pa.int32()), pa.field("x", pa.int32()))
    assert (values.tolist(), valid.tolist()) == ([1, 0, 3], [True, False, True])
    values, _ = column_array(pa.array([1.5, None], pa.float32()), pa.field("x", pa.float32()))
    assert values[0] == 1.5
    assert np.isnan(values[1])
    values, _ = column_array(pa.array([True, False]), pa.field("x", pa.bool_()))
    assert values.tolist() == [True, False]


def test_a_wrong_shape_is_refused():
    with pytest.raises(InputError, match=r"column x: expected rows of shape \(2, 3\), got \(3, 2\)"):
        array_column(np.zeros((4, 3, 2)), array_field("x", (2, 3), pa.float32()))


def test_jpeg_keeps_colours_in_rgb_order(smooth):
    back = decode_image(encode_jpeg(smooth), "row 0")
    reference = cv2.imdecode(np.frombuffer(encode_jpeg(smooth), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.abs(back.astype(int) - smooth).mean() < 2
    assert np.abs(back.astype(int) - reference).max() <= 3  # two decoders of the same file


def test_png_is_exact_and_grey_pictures_get_three_channels(smooth):
    png = cv2.imencode(".png", smooth[:, :, ::-1])[1].tobytes()
    assert (decode_image(png, "row 0") == smooth).all()
    grey = cv2.imencode(".jpg", smooth[:, :, 0])[1].tobytes()
    assert decode_image(grey, "row 0").shape == smooth.shape


@pytest.mark.parametrize("cut", [3, 200])
def test_a_truncated_jpeg_is_an_error_that_names_the_row(smooth, cut):
    with pytest.raises(InputError, match=r"shard-00000\.parquet row 7: is a damaged JPEG"):
        decode_image(encode_jpeg(smooth)[:-cut], "shard-00000.parquet row 7")


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n1234"])
def test_other_bytes_are_not_a_picture(data):
    with pytest.raises(InputError, match="row 1: is not a picture"):
        decode_image(data, "row 1")


def test_image_column_has_null_rows_and_names():
    column = image_column([b"a", None, b"c"], ["x.jpg", None, None])
    assert column.to_pylist() == [{"bytes": b"a", "path": "x.jpg"}, None, {"bytes": b"c", "path": None}]
