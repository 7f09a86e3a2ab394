"""From the columns of a reader of annotated pictures to its record table, with the checks that such readers share.

In: a root as the user gave it, and columns of ``RECORD_SCHEMA``; out: paths that exist and a validated ``RecordTable``.
Called by the readers of raw picture datasets (``coco``, ``lsp``, ``mpii``, ``mpi_inf_3dhp``, ``h36m``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import file_fingerprint, provenance
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

ANNOTATED = "annotated"
"""``RecordMetadata.regressor`` where people marked the joints in pictures and no regressor of a body is meant."""


def checked_root(root: Path | None, dataset: str, limit: int | None) -> Path:
    """The root, when it was given and exists.

    Raises:
        InputError: no root, no such place, or a limit below 1.
    """
    if root is None:
        raise InputError(f"dataset {dataset}", "the folder of its files is not given", "pass --root DIR")
    if limit is not None and limit < 1:
        raise InputError("limit", f"expected at least 1 row, got {limit}")
    if not root.exists():
        raise InputError(root, "no such file or directory")
    return root


def not_complete(root: Path, expected: str, dataset: str) -> InputError:
    """The error for a root in which ``expected`` is not to be found."""
    return InputError(root, f"has no {expected}", f"see: hmrtk datasets show {dataset}")


def first_file(root: Path, names: Sequence[str], dataset: str) -> Path:
    """The first of some relative paths that is a file below ``root``.

    Raises:
        InputError: none of them is.
    """
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise not_complete(root, " or ".join(names), dataset)
    return found


def checked_finite(
    values: NDArray[np.floating], path: Path, name: str, row: str = "row", numbers: NDArray[np.integer] | None = None
) -> None:
    """Refuse NaN and infinity.

    Args:
        values: (N, …).
        path: the file they are from.
        name: what they are called there.
        row: what its N rows are called.
        numbers: (N,) of the rows; from 0 when left out.

    Raises:
        InputError: names the file and the first bad row.
    """
    bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if bad.any():
        first = int(bad.argmax())
        number = first if numbers is None else int(numbers[first])
        raise InputError(f"{path} {row} {number}", f"{name} has NaN or infinite values")


def joint_boxes(keypoints: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, 4) x0, y0, x1, y1 px: the tight boxes of the joints with confidence; empty where fewer than two have it.

    Args:
        keypoints: (N, J, 3) px and confidence.
    """
    known = keypoints[..., 2:] > 0
    low = np.where(known, keypoints[..., :2], np.inf).min(axis=1)
    high = np.where(known, keypoints[..., :2], -np.inf).max(axis=1)
    box = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(box), box, 0).astype(np.float32)


def record_table(
    dataset: str,
    split: str,
    columns: Mapping[str, Any],
    body: BodyModel,
    inputs: Mapping[str, Path],
    config: Mapping[str, Any],
    regressor: str = ANNOTATED,
) -> RecordTable:
    """A validated record table of one split.

    Args:
        columns: all but ``dataset`` and ``split``; those left out are null.
        body: its fingerprint goes into the metadata.
        inputs: name → file, for everything that was read; their fingerprints go into the provenance.
        config: how the reader was set, as plain JSON values.
        regressor: that gives a body's joints where this dataset has its own.
    """
    read = {name: file_fingerprint(path) for name, path in inputs.items()}
    made = provenance("ingest", {"dataset": dataset, **config}, body.fingerprint, read, None)
    metadata = RecordMetadata(body=body.fingerprint, regressor=regressor, provenance=made)
    return RecordTable.from_columns({**columns, "dataset": dataset, "split": split}, metadata, f"{dataset} {split}")
