"""IUV sets, what ``render-iuv`` writes: ``iuv-00000.parquet …`` with ``sample_id``, ``crop_camera`` and ``iuv``.

In: ids, crop cameras and an iterator of maps. Out: files of a fixed number of rows, each written atomically; and the
``IUVSet`` that reads them. Every file knows the whole set, so a missing one is found.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_parquet, read_parquet, write_parquet
from hmrtk.toolkit.records.remote import Place, files_in, located
from hmrtk.toolkit.shards.codec import array_column, column_array
from hmrtk.toolkit.shards.schema import array_field, array_shape

KIND = "hmrtk.iuv"
SCHEMA_VERSION = 1
ROWS_PER_FILE = 8192
"""At most; about 16 MB a file at 56 px."""
FILE_BYTES = 80_000_000
"""Uncompressed maps of one file, at most: 531 rows at 224 px."""
WRITERS = 2
"""Files that are written while the next one's maps are made: so many files' maps and one more are in memory."""
GROUP_BYTES = 10_000_000
"""The same for a row group."""

Maps = Iterable[tuple[slice, NDArray[np.uint8]]]


def write_iuv_set(
    out: str | Place,
    sample_ids: Sequence[str],
    crop_camera: ArrayLike,
    iuv: Maps | Callable[[slice], Maps],
    size: int,
    metadata: Mapping[str, Any],
    rows_per_file: int | None = None,
) -> list[Place]:
    """Write N maps, some files while the next one's maps are made.

    Args:
        out: folder; files of an earlier, longer set are removed.
        sample_ids: N.
        crop_camera: (N, 3).
        iuv: (rows, maps (n, 3, size, size) uint8) in order, covering all rows; or a function that gives them for a
            slice of the rows. With a function, files that are already there from the same inputs are not made again.
        size: px.
        metadata: plain JSON values; decides, with ids, cameras and sizes, whether a file can stay.
        rows_per_file: by default as many as ``ROWS_PER_FILE`` and ``FILE_BYTES`` allow.

    Returns:
        the files, in order.

    Raises:
        InputError: numbers of rows or shapes that do not belong together.
        OutputError: the folder cannot be written; complete files stay.
    """
    camera = np.ascontiguousarray(crop_camera, np.float32)
    if camera.shape != (len(sample_ids), 3):
        raise InputError("iuv set", f"expected crop_camera ({len(sample_ids)}, 3), got {camera.shape}")
    if not len(camera):
        raise InputError("iuv set", "has no rows")
    rows_per_file = rows_per_file or max(1, min(ROWS_PER_FILE, FILE_BYTES // (3 * size * size)))
    head = {**metadata, "rows": len(camera), "size": size, "rows_per_file": rows_per_file}
    head["set"] = _fingerprint(head, sample_ids, camera)
    bounds = [slice(i, min(i + rows_per_file, len(camera))) for i in range(0, len(camera), rows_per_file)]
    files = [located(out) / f"iuv-{number:05d}.parquet" for number in range(len(bounds))]
    stream = None if callable(iuv) else _rechunked(iuv, bounds, size)
    group = max(1, GROUP_BYTES // (3 * size * size))
    with ThreadPoolExecutor(WRITERS, "iuv-writer") as pool:
        waiting: deque[Future[None]] = deque()
        for number, (rows, file) in enumerate(zip(bounds, files, strict=True)):
            here = {**head, "file": number, "first": rows.start}
            if callable(iuv) and _is_there(file, here):
                continue
            maps = next(stream) if stream is not None else next(_rechunked(iuv(rows), [rows], size))  # type: ignore[operator]
            table = _table(sample_ids[rows], camera[rows], maps, size)
            if len(waiting) == WRITERS:
                waiting.popleft().result()
            waiting.append(pool.submit(write_parquet, file, table, KIND, SCHEMA_VERSION, here, group))
        for written in waiting:
            written.result()
    for stale in set(files_in(located(out), "iuv-[0-9]*.parquet")) - set(files):
        stale.unlink()
    return files


class IUVSet:
    """An IUV set on disk; maps are read when asked for.

    Attributes:
        sample_ids: N strings.
        crop_camera: (N, 3) float32 (s, tx, ty).
        size: px.
        metadata: as written.

    Raises:
        InputError: no set there, a file of it is missing, damaged, or of another set.
    """

    def __init__(self, root: str | Place) -> None:
        self.root = located(root)
        self.files = files_in(self.root, "iuv-[0-9]*.parquet")
        if not self.files:
            raise InputError(self.root, "has no iuv-*.parquet", "make them with render-iuv")
        parts = [self._read(file, ["sample_id", "crop_camera"]) for file in self.files]
        self.metadata = parts[0][1]
        for number, (file, (_, metadata)) in enumerate(zip(self.files, parts, strict=True)):
            if metadata["set"] != self.metadata["set"]:
                raise InputError(file, f"is of another set than {self.files[0].name}", "run render-iuv again")
            if metadata["file"] != number:
                raise InputError(self.root, f"has no iuv-{number:05d}.parquet", "run render-iuv again")
        table = pa.concat_tables([part for part, _ in parts])
        if table.num_rows != self.metadata["rows"]:
            raise InputError(self.root, f"has {table.num_rows} of {self.metadata['rows']} rows", "run render-iuv again")
        self.size = int(self.metadata["size"])
        self.sample_ids: list[str] = table["sample_id"].to_pylist()
        self.crop_camera, _ = column_array(table["crop_camera"], _camera_field())

    def __len__(self) -> int:
        return len(self.sample_ids)

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """The rows and maps (n, 3, S, S) of one file after the other."""
        first = 0
        for file in self.files:
            table, _ = self._read(file, ["iuv"])
            maps, _ = column_array(table["iuv"], table.schema.field("iuv"))
            yield slice(first, first + len(maps)), maps
            first += len(maps)

    def iuv(self, rows: slice = slice(None)) -> NDArray[np.uint8]:
        """(n, 3, S, S) the maps of some rows, all of them by default; files that hold none of them are not read."""
        start, stop, step = rows.indices(len(self))
        wanted = np.arange(start, stop, step)
        maps = np.empty((len(wanted), 3, self.size, self.size), np.uint8)
        per_file = int(self.metadata["rows_per_file"])
        for number in np.unique(wanted // per_file):
            table, _ = self._read(self.files[number], ["iuv"])
            here = wanted // per_file == number
            maps[here] = column_array(table["iuv"], table.schema.field("iuv"))[0][wanted[here] - number * per_file]
        return maps

    @staticmethod
    def _read(path: Place, columns: list[str]) -> tuple[pa.Table, dict[str, Any]]:
        return read_parquet(path, KIND, SCHEMA_VERSION, columns)


def read_iuv_set(root: str | Place) -> IUVSet:
    """Open an IUV set; errors as in ``IUVSet``."""
    return IUVSet(root)


def _camera_field() -> pa.Field:
    return array_field("crop_camera", (3,), pa.float32(), nullable=False)


def _table(sample_ids: Sequence[str], camera: NDArray[np.float32], maps: NDArray[np.uint8], size: int) -> pa.Table:
    fields = [
        pa.field("sample_id", pa.string(), nullable=False),
        _camera_field(),
        array_field("iuv", (3, size, size), pa.uint8(), nullable=False),
    ]
    columns = [pa.array(list(sample_ids)), array_column(camera, fields[1]), array_column(maps, fields[2])]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _rechunked(maps: Maps, bounds: Sequence[slice], size: int) -> Iterator[NDArray[np.uint8]]:
    """Cut chunks of any length into those of ``bounds``."""
    source, held = iter(maps), np.empty((0, 3, size, size), np.uint8)
    for rows in bounds:
        parts, count = [held], len(held)
        while count < rows.stop - rows.start:
            following = next(source, None)
            if following is None:
                got = rows.start + count
                raise InputError("iuv set", f"expected maps for {bounds[-1].stop} rows, got {got}")
            if following[1].shape[1:] != (3, size, size):
                raise InputError("iuv set", f"expected maps (n, 3, {size}, {size}), got {following[1].shape}")
            parts.append(following[1].copy())  # renderers may use their buffer again
            count += len(following[1])
        joined = np.concatenate(parts)
        held = joined[rows.stop - rows.start :]
        yield joined[: rows.stop - rows.start]


def _is_there(file: Place, metadata: Mapping[str, Any]) -> bool:
    """Whether a file of the same set, whole as far as its footer tells, is already there."""
    with suppress(InputError):
        opened, found = open_parquet(file, KIND, SCHEMA_VERSION)
        with opened:
            shape = array_shape(opened.schema_arrow.field("iuv"))
        wanted = json.loads(json.dumps(dict(metadata)))
        return shape == (3, metadata["size"], metadata["size"]) and {k: found.get(k) for k in wanted} == wanted
    return False


def _fingerprint(metadata: Mapping[str, Any], sample_ids: Sequence[str], camera: NDArray[np.float32]) -> str:
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    digest.update("\n".join(sample_ids).encode())
    digest.update(np.ascontiguousarray(camera).tobytes())
    return digest.hexdigest()[:16]
