"""IUV sets come back as written, are cut into files whatever the chunks, resume, and notice what is missing."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.shards.iuv_set import read_iuv_set, write_iuv_set

N, SIZE = 23, 8
IDS = [f"walk/{i}" for i in range(N)]
CAMERA = np.linspace(0.5, 1.5, N * 3).reshape(N, 3)
MAPS = np.random.default_rng(0).integers(0, 255, (N, 3, SIZE, SIZE)).astype(np.uint8)


def chunks(rows=slice(0, N), step=7):
    for first in range(rows.start, rows.stop, step):
        part = slice(first, min(first + step, rows.stop))
        yield part, MAPS[part]


def write(out, iuv=None, metadata=None, rows=5):
    return write_iuv_set(out, IDS, CAMERA, chunks() if iuv is None else iuv, SIZE, metadata or {"body": "b"}, rows)


@pytest.mark.parametrize("step", [1, 5, 7, 23])
def test_round_trip_whatever_the_chunks(tmp_path, step):
    files = write(tmp_path, chunks(step=step))
    found = read_iuv_set(tmp_path)
    assert [f.name for f in files] == [f"iuv-{i:05d}.parquet" for i in range(5)]
    assert (found.sample_ids, found.size, len(found)) == (IDS, SIZE, N)
    assert found.metadata["body"] == "b"
    assert (found.crop_camera == CAMERA.astype(np.float32)).all()
    assert (found.iuv() == MAPS).all()
    assert (found.iuv(slice(4, 17, 3)) == MAPS[4:17:3]).all()
    assert (np.concatenate([maps for _, maps in found.chunks()]) == MAPS).all()
    assert [rows for rows, _ in found.chunks()][1] == slice(5, 10)


def test_a_reused_buffer_is_copied(tmp_path):
    buffer = np.empty((7, 3, SIZE, SIZE), np.uint8)

    def reused():
        for rows, maps in chunks():
            buffer[: len(maps)] = maps
            yield rows, buffer[: len(maps)]

    write(tmp_path, reused())
    assert (read_iuv_set(tmp_path).iuv() == MAPS).all()


def test_with_a_function_only_missing_files_are_rendered(tmp_path):
    asked = []

    def render(rows):
        asked.append(rows)
        return chunks(rows)

    files = write(tmp_path, render)
    before = [f.read_bytes() for f in files]
    files[2].unlink()
    asked.clear()
    write(tmp_path, render)
    assert asked == [slice(10, 15)]
    assert [f.read_bytes() for f in files] == before
    asked.clear()
    write(tmp_path, render, {"body": "another"})
    assert len(asked) == 5
    assert read_iuv_set(tmp_path).metadata["body"] == "another"


def test_files_of_an_earlier_longer_set_go(tmp_path):
    write(tmp_path, rows=2)
    assert len(write(tmp_path, rows=12)) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_missing_file_is_noticed(tmp_path):
    files = write(tmp_path)
    files[1].rename(tmp_path / "kept")
    with pytest.raises(InputError, match=r"has no iuv-00001\.parquet"):
        read_iuv_set(tmp_path)
    (tmp_path / "kept").rename(files[1])
    files[-1].unlink()
    with pytest.raises(InputError, match=r"has 20 of 23 rows"):
        read_iuv_set(tmp_path)


def test_a_file_of_another_set_is_noticed(tmp_path):
    write(tmp_path / "a")
    other = write(tmp_path / "b", metadata={"body": "other"})
    shutil.copy(other[1], tmp_path / "a")
    with pytest.raises(InputError, match="is of another set than iuv-00000"):
        read_iuv_set(tmp_path / "a")


def test_no_set_and_truncated_file(tmp_path):
    with pytest.raises(InputError, match=r"has no iuv-\*\.parquet \(make them with render-iuv\)"):
        read_iuv_set(tmp_path)
    files = write(tmp_path)
    files[0].write_bytes(files[0].read_bytes()[:200])
    with pytest.raises(InputError, match="is not a readable Parquet file"):
        read_iuv_set(tmp_path)


@pytest.mark.parametrize(
    ("iuv", "text"),
    [
        ([(slice(0, 7), MAPS[:7])], "expected maps for 23 rows, got 7"),
        ([(slice(0, 7), MAPS[:7, :, :4])], r"expected maps \(n, 3, 8, 8\), got \(7, 3, 4, 8\)"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path, iuv, text):
    with pytest.raises(InputError, match=text):
        write(tmp_path, iuv)


def test_cameras_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected crop_camera \(23, 3\), got \(4, 3\)"):
        write_iuv_set(tmp_path, IDS, CAMERA[:4], chunks(), SIZE, {})
    with pytest.raises(InputError, match="has no rows"):
        write_iuv_set(tmp_path, [], np.zeros((0, 3)), [], SIZE, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path)


def test_an_output_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "out")
