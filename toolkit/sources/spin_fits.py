"""SPIN's fits: bodies fitted to the pictures of a training npz, in files that have nothing but the bodies.

In: a folder with a training npz (``spin_npz``) and its fits; out: the npz's records with the fits as their bodies. Two
kinds, each a format of its own:

- ``spin_fits``: the final fits, ``spin_fits/<name>.npz`` (or ``<name>.npz``) with ``pose`` (N, 72), ``betas`` (N, 10)
  and ``valid_fit`` (N,), as SPIN released them for coco, lsp, lspet, mpii and mpi_inf_3dhp.
- ``spin_static_fits``: what SPIN's training starts from, ``static_fits/<name>_fits.npy`` (N, 82) = 72 pose + 10 betas.

Traps, and what is done about them:

- Nothing but the **order of the rows** joins a fit to its picture: row i belongs to row i of the training npz that
  SPIN distributes. Files with different counts are refused; files with equal counts in another order cannot be told.
- ``valid_fit`` 0: the fit's joints miss the picture's, SPIN does not train on it. Such a row has no body.
- **Betas** of a fit with any |β| > 3 are implausible. They become 0, all ten, as in training (SPIN, PyMAF); the pose
  stays.
- A row whose npz has a body of its own (``has_smpl``) keeps it, as in SPIN's trainer.
- The fits are of the neutral body, in the camera frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.npz_file import NpyFile, NpzFile
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.picture_table import first_file
from hmrtk.toolkit.sources.spin_npz import has_body, spin_columns, spin_files
from hmrtk.toolkit.sources.spin_variants import variant_of

FINAL, STATIC = "spin_fits", "spin_static_fits"
MAX_FIT_BETA = 3.0
"""A fit with a larger |β| has lost the person's shape (SPIN, PyMAF ``fits_dict.py``)."""
SPIN_NAMES = {"lsp": "lsp-orig", "mpi_inf_3dhp": "mpi-inf-3dhp"}
"""dataset → its name in SPIN's own files, where that differs."""
SOURCES = {FINAL: "spin_fit", STATIC: "spin_static_fit"}
"""format → ``body_source``."""


@dataclass(frozen=True)
class SpinFitsSource(AnnotationFiles):
    """``Source`` of a training npz with SPIN's fits.

    Attributes:
        dataset: coco, lsp, lspet, mpii, mpi_inf_3dhp or h36m.
        kind: ``spin_fits`` or ``spin_static_fits``.
    """

    dataset: str
    kind: str = FINAL

    @property
    def format(self) -> str:  # type: ignore[override]
        return self.kind

    def files(self, root: Path) -> dict[str, list[Path]]:
        """The training npz."""
        if root.is_file():
            raise InputError(root, "is a file, expected the folder of a training npz and its fits")
        ((variant, path),) = spin_files(root, self.dataset, ["train"])
        return {variant.split: [path]}

    def inputs(self, part: SplitFile, columns: Mapping[str, Any]) -> list[Path]:
        """The npz and its fits."""
        return [part.path, self._fits(part)]

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the npz's order."""
        columns = spin_columns(part.path, self.dataset, variant_of(self.dataset, part.path.name), limit)
        return with_fits(columns, self._fitted(self._fits(part), part.path, limit), SOURCES[self.kind])

    def _fits(self, part: SplitFile) -> Path:
        return first_file(part.path.parent, self._names(), self.dataset)

    def _names(self) -> list[str]:
        if self.kind == FINAL:
            return [f"{folder}{self.dataset}.npz" for folder in ("spin_fits/", "final_fits/", "static_fits/", "")]
        names = dict.fromkeys((SPIN_NAMES.get(self.dataset, self.dataset), self.dataset))
        return [f"{folder}{name}_fits.npy" for folder in ("static_fits/", "") for name in names]

    def _fitted(self, path: Path, annotation: Path, limit: int | None) -> dict[str, NDArray[np.float32]]:
        """Body columns of the first rows."""
        with NpzFile(annotation, "center", limit) as file:
            expected = file.total
        if self.kind == FINAL:
            with NpzFile(path, "pose", limit) as file:
                check_count(path, file.total, annotation, expected)
                pose = file.numbers("pose", 72)
                betas = file.numbers("betas", 10)
                valid = file.flags("valid_fit")
        else:
            with NpyFile(path, limit) as rows:
                check_count(path, rows.total, annotation, expected)
                both = rows.numbers(82)
            pose, betas, valid = both[:, :72], both[:, 72:], None
        return fit_columns(pose, betas, valid)


def check_count(path: Path, count: int, annotation: Path, expected: int) -> None:
    """Refuse fits of other pictures.

    Raises:
        InputError: the counts differ.
    """
    if count != expected:
        raise InputError(
            path,
            f"has {count} fits, but {annotation.name} has {expected} rows",
            "row i of one belongs to row i of the other",
        )


def fit_columns(
    pose: NDArray[np.float32], betas: NDArray[np.float32], valid: NDArray[np.bool_] | None
) -> dict[str, NDArray[np.float32]]:
    """Body columns of fits: pose (N, 72), betas (N, 10), valid (N,) or None for all."""
    wild = np.abs(betas).max(axis=1, initial=0) > MAX_FIT_BETA
    betas = np.where(wild[:, None], np.float32(0), betas)
    theta = pose.reshape(-1, 24, 3).copy()
    if valid is not None:
        theta[~valid], betas[~valid] = np.nan, np.nan
    return {"global_orient": theta[:, 0], "body_pose": theta[:, 1:], "betas": betas}


def with_fits(columns: dict[str, Any], fitted: dict[str, NDArray[np.float32]], source: str) -> dict[str, Any]:
    """The columns of a training npz with fits for bodies, where the npz has none of its own."""
    own = np.zeros(len(columns["sample_id"]), bool)
    if "betas" in columns:
        own = has_body(columns)
        fitted = {
            name: np.where(own.reshape(-1, *[1] * (fits.ndim - 1)), columns[name], fits)
            for name, fits in fitted.items()
        }
    has = has_body(fitted)
    rows = zip(own.tolist(), has.tolist(), columns["body_source"] or [None] * len(own), strict=True)
    return {
        **columns,
        **fitted,
        "body_source": [name if mine else source if fit else None for mine, fit, name in rows],
        "gender": ["neutral" if fit else None for fit in has],
    }
