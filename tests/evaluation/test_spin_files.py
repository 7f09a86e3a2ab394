"""From SPIN's dataset files of known bodies to the known errors: Human3.6M's two protocols and MPI-INF-3DHP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import H36M_TO_J14, H36M_TO_J17
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.evaluation.comparison import judge
from hmrtk.toolkit.evaluation.metrics import Errors
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import protocol
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.spin_npz import SpinNpzSource

from .conftest import COUNT, H36M17_SLOTS, numpy_pa

CAMERAS = ["60457274", "54138969", "60457274"] * 3


def _dataset(path: Path, names: list[str], joints: np.ndarray) -> None:
    """``S`` as SPIN keeps it: 17 of 24 joints, metres, moved to the pelvis, confidence 1."""
    placed = np.zeros((COUNT, 24, 4))
    placed[:, H36M17_SLOTS, :3], placed[:, H36M17_SLOTS, 3] = joints - joints[:, :1], 1
    box = {"center": np.full((COUNT, 2), 500.0), "scale": np.full(COUNT, 2.0)}
    np.savez(path, imgname=names, S=placed, **box)


def _judged(path: Path, dataset: str, split: str, name: str, found: BodyParameters, body: BodyModel) -> Errors:
    records: RecordTable = SpinNpzSource(dataset).ingest(path, body)[split]
    meta = PredictionsMetadata("spin", body.fingerprint)
    judged = judge(records, Predictions(records.sample_ids, found, meta), body, protocol(name))
    assert judged.errors is not None
    return judged.errors


def _by_hand(found: BodyParameters, joints: np.ndarray, body: BodyModel, picks: tuple[int, ...]) -> np.ndarray:
    """(2, N) MPJPE and PA-MPJPE as SPIN's ``eval.py`` measures them, mm: regress, move by row 0, then pick."""
    still = found.replaced(transl=np.zeros_like(found.transl))
    regressed = body.regressor("h36m17").toarray().astype(np.float64) @ body.pose(still).vertices.astype(np.float64)
    mine, theirs = ((j - j[:, :1])[:, picks] for j in (regressed, joints))
    plain = np.linalg.norm(mine - theirs, axis=-1).mean(1)
    aligned = [numpy_pa(a, b).mean() for a, b in zip(mine, theirs, strict=True)]
    return 1000 * np.array([plain, aligned])


@pytest.mark.parametrize("number", [1, 2])
def test_human36m(
    number: int, tmp_path: Path, parameters: BodyParameters, noisy: BodyParameters, body: BodyModel
) -> None:
    truth = body.regress(body.pose(parameters).vertices, "h36m17").astype(np.float64)
    names = [f"S9_Walking_1.{camera}_{5 * i + 1:06d}.jpg" for i, camera in enumerate(CAMERAS)]
    path = tmp_path / f"h36m_valid_protocol{number}.npz"
    _dataset(path, names, truth)
    errors = _judged(path, "h36m", "test" if number == 1 else "test_p2", f"spin-h36m-p{number}", noisy, body)
    expected = _by_hand(noisy, truth, body, H36M_TO_J14)
    counted = np.array(CAMERAS) == "60457274" if number == 2 else np.ones(COUNT, bool)
    assert len(errors) == counted.sum()
    np.testing.assert_allclose([errors.mpjpe, errors.pa_mpjpe], expected[:, counted], atol=1e-3)
    assert "pve" not in errors.measured()  # these files have no bodies


def test_mpi_inf_3dhp(tmp_path: Path, parameters: BodyParameters, noisy: BodyParameters, body: BodyModel) -> None:
    truth = body.regress(body.pose(parameters).vertices, "h36m17").astype(np.float64)
    names = [f"mpi_inf_3dhp_test_set/TS1/imageSequence/img_{i + 1:06d}.jpg" for i in range(COUNT)]
    path = tmp_path / "mpi_inf_3dhp_valid.npz"
    _dataset(path, names, truth)
    errors = _judged(path, "mpi_inf_3dhp", "test", "mpi-inf-3dhp", noisy, body)
    np.testing.assert_allclose([errors.mpjpe, errors.pa_mpjpe], _by_hand(noisy, truth, body, H36M_TO_J17), atol=1e-3)
    perfect = _judged(path, "mpi_inf_3dhp", "test", "mpi-inf-3dhp", parameters, body)
    assert perfect.summary(metrics=("mpjpe", "pck", "auc")) == pytest.approx(
        {"mpjpe": 0, "pck": 100, "auc": 100}, abs=1e-3
    )
