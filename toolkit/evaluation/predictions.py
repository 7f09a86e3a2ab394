"""``Predictions``: what a system says about records, as one Parquet file; evaluation reads nothing else from a system.

Networks' ``predict`` and the importers of other systems' results write it; metrics and reports read it. Bodies are in
the camera frame, without translation; ``camera`` is the crop camera of ``hmrtk.toolkit.geometry``.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.body.devices import BulkPoser
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.records.artefact import read_parquet, write_parquet
from hmrtk.toolkit.records.record import tensor
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable

KIND = "hmrtk.predictions"
SCHEMA_VERSION = 1

BODY_COLUMNS = ("global_orient", "body_pose", "betas")
_SHAPES: dict[str, tuple[int, ...]] = {"global_orient": (3,), "body_pose": (23, 3), "betas": (10,), "camera": (3,)}


@dataclass(frozen=True)
class PredictionsMetadata:
    """Who predicted, and under which conventions; kept in the Parquet file's metadata.

    Attributes:
        system: the system's name, shown in tables.
        body: fingerprint of the body that the parameters (or vertices) belong to.
        joint_set: order of the optional ``joints3d`` column.
    """

    system: str = "unnamed"
    body: str = ""
    joint_set: str = "smpl24"
    root: str = "none: the body's own origin"
    camera_frame: str = "x right, y down, z forward"
    camera: str = "crop camera (s, tx, ty), focal 5000 px, 224 px"
    units: str = "metres, radians"
    gender: str = "neutral"
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Predictions:
    """N predictions.

    Attributes:
        sample_ids: N distinct names of records.
        parameters: N bodies, or None for a system that predicts vertices only.
        metadata: conventions and provenance.
        camera: (N, 3) float32 crop cameras, NaN where there is none; or None.
        joints3d: (N, J, 3) float16 metres in ``metadata.joint_set``, or None.
        vertices: (N, 6890, 3) float16 metres, or None. Read only when there are no
            parameters: 16 bits round by up to 0.5 mm.
        place: where they came from, for error messages.
        prototype: (N,) int32, the prototype of a memory that each regression started from (the likeliest one where
            several are blended), or None. ``metadata.provenance["prototypes"]`` is the memory's fingerprint.
    """

    sample_ids: list[str]
    parameters: BodyParameters | None
    metadata: PredictionsMetadata
    camera: NDArray[np.float32] | None = None
    joints3d: NDArray[np.float16] | None = None
    vertices: NDArray[np.float16] | None = None
    place: str = "predictions"
    prototype: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.sample_ids)

    def validate(self) -> None:
        """Check counts, shapes, values and ids.

        Raises:
            InputError: no rows, arrays that do not fit, values that are not finite or absurd, an id that occurs twice,
                or neither parameters nor vertices; the first bad row is named.
        """
        n = len(self)
        if not n:
            raise InputError(self.place, "has no rows")
        if self.parameters is None and self.vertices is None:
            raise InputError(self.place, "has neither body parameters nor vertices")
        if self.parameters is not None:
            _check_rows(self.place, "global_orient", self.parameters.global_orient, (n, 3))
            self.parameters.check(self.place)
        if self.camera is not None:
            _check_rows(self.place, "camera", self.camera, (n, 3), finite=False)
        if self.joints3d is not None:
            _check_rows(self.place, "joints3d", self.joints3d, (n, self.joints3d.shape[1], 3))
        if self.vertices is not None:
            _check_rows(self.place, "vertices", self.vertices, (n, 6890, 3))
        if self.prototype is not None:
            _check_choice(self.place, self.prototype, n)
        seen: dict[str, int] = {}
        for row, name in enumerate(self.sample_ids):
            if name in seen:
                raise InputError(f"{self.place} row {row}", f"sample_id {name!r} is already in row {seen[name]}")
            seen[name] = row

    @functools.cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of sha256 over ids, values and body: equal predictions, equal fingerprint."""
        digest = hashlib.sha256(json.dumps([self.metadata.body, self.sample_ids]).encode())
        bodies = [None if self.parameters is None else getattr(self.parameters, name) for name in BODY_COLUMNS]
        for array in (*bodies, self.camera, self.joints3d, self.vertices, self.prototype):
            digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def require_body(self, fingerprint: str) -> None:
        """Refuse when these predictions were made with another body than the active one."""
        if self.metadata.body != fingerprint:
            raise BodyMismatchError(self.place, fingerprint, self.metadata.body)

    def match(self, records: RecordTable, unknown: Literal["refuse", "ignore"] = "refuse") -> NDArray[np.int64]:
        """The row of each record's prediction, (len(records),).

        Args:
            records: the ground truth.
            unknown: what to do with predictions for samples that are not among the records.

        Raises:
            InputError: a record has no prediction, or (``refuse``) a prediction has no record.
        """
        rows = {name: row for row, name in enumerate(self.sample_ids)}
        wanted = records.sample_ids
        missing = [name for name in wanted if name not in rows]
        if missing:
            problem = f"{len(missing)} of {len(wanted)} records have no prediction, the first is {missing[0]!r}"
            raise InputError(self.place, problem, f"predict for all of {records.place}")
        if unknown == "refuse" and len(rows) > len(wanted):
            known = set(wanted)
            strange = [name for name in self.sample_ids if name not in known]
            problem = f"{len(strange)} predictions are for samples not in {records.place}, the first is {strange[0]!r}"
            raise InputError(self.place, problem, "pass the record table that was predicted")
        return np.array([rows[name] for name in wanted], np.int64)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """The predictions of an integer index, in that order."""
        ids = [self.sample_ids[row] for row in rows]
        parameters = None if self.parameters is None else self.parameters[rows]
        camera = None if self.camera is None else self.camera[rows]
        joints3d = None if self.joints3d is None else self.joints3d[rows]
        vertices = None if self.vertices is None else self.vertices[rows]
        prototype = None if self.prototype is None else self.prototype[rows]
        return Predictions(ids, parameters, self.metadata, camera, joints3d, vertices, self.place, prototype)

    def posed(self, model: BodyModel, poser: BulkPoser | None = None) -> Body:
        """The predicted bodies, without translation: 83 kB each, so ``take`` some rows at a time.

        Of predicted vertices the joints are regressed, which are not quite the posed ones.

        Args:
            model: the predictions' body.
            poser: of that body on another device; None poses with ``model``.

        Raises:
            InputError: neither parameters nor vertices.
        """
        if self.parameters is not None:
            return (poser or model).pose(self.parameters.replaced(transl=np.zeros_like(self.parameters.transl)))
        if self.vertices is None:
            raise InputError(self.place, "has neither body parameters nor vertices")
        vertices = self.vertices.astype(np.float32)
        return Body(vertices, model.regress(vertices, "smpl24"))

    def write(self, path: str | Place) -> None:
        """Validate and write atomically."""
        self.validate()
        n = len(self)
        columns: dict[str, pa.Array] = {"sample_id": pa.array(self.sample_ids, pa.string())}
        for name in BODY_COLUMNS:
            values = None if self.parameters is None else getattr(self.parameters, name)
            columns[name] = _to_arrow(values, tensor(*_SHAPES[name]), n)
        columns["camera"] = _to_arrow(self.camera, tensor(3), n)
        for name, array in (("joints3d", self.joints3d), ("vertices", self.vertices)):
            if array is not None:
                columns[name] = _to_arrow(array, tensor(*array.shape[1:], dtype=pa.float16()), n)
        if self.prototype is not None:
            columns["prototype"] = pa.array(self.prototype, pa.int32())
        write_parquet(path, pa.table(columns), KIND, SCHEMA_VERSION, asdict(self.metadata))

    @classmethod
    def read(cls, path: str | Place) -> Predictions:
        """Read and validate a predictions file.

        Raises:
            InputError: missing, damaged or foreign file, a missing column, or anything ``validate`` refuses.
        """
        table, found = read_parquet(path, KIND, SCHEMA_VERSION)
        missing = sorted({"sample_id", "camera", *BODY_COLUMNS} - set(table.column_names))
        if missing:
            raise InputError(path, f"has no column {', '.join(missing)}")
        metadata = PredictionsMetadata(**{k: found[k] for k in PredictionsMetadata.__dataclass_fields__ if k in found})
        for name, shape in _SHAPES.items():
            if table.schema.field(name).type != tensor(*shape):
                raise InputError(
                    path, f"column {name} has type {table.schema.field(name).type}, expected {tensor(*shape)}"
                )
        tensors = [name for name in table.column_names if name not in ("sample_id", "prototype")]
        arrays = {name: _to_numpy(table[name]) for name in tensors}
        bodies = [arrays[name] for name in BODY_COLUMNS]
        parameters = None if any(a is None for a in bodies) else BodyParameters.of(*bodies)
        ids = table["sample_id"].to_pylist()
        result = cls(
            ids, parameters, metadata, arrays["camera"], arrays.get("joints3d"), arrays.get("vertices"), str(path),
            _choice(table, str(path)),
        )  # fmt: skip
        result.validate()
        return result


def _check_rows(place: str, name: str, array: NDArray[Any], shape: tuple[int, ...], finite: bool = True) -> None:
    if array.shape != shape:
        raise InputError(place, f"{name} has shape {array.shape}, expected {shape}")
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if finite and bad.any():
        raise InputError(f"{place} row {int(bad.argmax())}", f"{name} has NaN or infinite values")


def _check_choice(place: str, prototype: NDArray[np.int32], n: int) -> None:
    if prototype.shape != (n,):
        raise InputError(place, f"prototype has shape {prototype.shape}, expected {(n,)}")
    if (prototype < 0).any():
        row = int((prototype < 0).argmax())
        raise InputError(f"{place} row {row}", f"prototype is {prototype[row]}, expected 0 or more")


def _choice(table: pa.Table, place: str) -> NDArray[np.int32] | None:
    """The optional column ``prototype``: (N,), or None where it is missing or null throughout."""
    if "prototype" not in table.column_names or table["prototype"].null_count == len(table):
        return None
    column = table["prototype"]
    if column.type != pa.int32() or column.null_count:
        found = f"type {column.type}" if column.type != pa.int32() else f"{column.null_count} empty rows"
        raise InputError(place, f"column prototype has {found}, expected int32 in every row")
    return np.asarray(column.to_numpy(), np.int32)


def _to_arrow(array: NDArray[Any] | None, kind: pa.FixedShapeTensorType, n: int) -> pa.Array:
    if array is None:
        return pa.nulls(n, kind)
    flat = np.ascontiguousarray(array, kind.value_type.to_pandas_dtype()).reshape(n, -1)
    return pa.ExtensionArray.from_storage(
        kind, pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), int(np.prod(kind.shape)))
    )


def _to_numpy(column: pa.ChunkedArray) -> NDArray[Any] | None:
    """(N, *shape), or None where the whole column is null; rows that are null become NaN."""
    if column.null_count == len(column):
        return None
    parts = []
    for chunk in column.chunks:
        width = int(np.prod(column.type.shape))
        values = chunk.storage.values.to_numpy(zero_copy_only=False)
        start = chunk.storage.offset * width
        part = values[start : start + len(chunk) * width].reshape(-1, *column.type.shape)
        if chunk.null_count:
            part = part.copy()
            part[~np.asarray(chunk.storage.is_valid())] = np.nan
        parts.append(part)
    return np.concatenate(parts)
