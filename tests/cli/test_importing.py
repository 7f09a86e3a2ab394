"""``import-predictions`` as a user calls it, from a dataset's npz and a result file to numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import H36M_TO_J14
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.evaluation.predictions import Predictions
from tests.sources.people import People, random_people
from tests.sources.spin_files import smpl, spin_box, write

from .conftest import Hmrtk

N = 12
GENDERS = ["m", "f"] * (N // 2)
RECORDS = "ws/records/3dpw"


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    return random_people(body, N, seed=2)


@pytest.fixture(scope="module")
def predicted(people: People) -> BodyParameters:
    """The people with noise on pose and shape."""
    rng = np.random.default_rng(4)
    pose, betas = people.parameters.pose, people.parameters.betas
    pose = pose + rng.normal(0, 0.1, pose.shape).astype(np.float32)
    return BodyParameters.of(pose[:, 0], pose[:, 1:], betas + rng.normal(0, 0.5, betas.shape))


def files(folder: Path, people: People, predicted: BodyParameters, body: BodyModel) -> None:
    """A 3DPW npz as SPIN's, and the result file of an ``eval.py`` on it."""
    names = [f"imageFiles/courtyard_00/image_{row:05d}.jpg" for row in range(N)]
    write(folder / "3dpw_test.npz", imgname=names, **spin_box(people), **smpl(people), gender=GENDERS)
    np.savez(
        folder / "results.npz",
        pred_joints=body.regress(body.pose(predicted).vertices, "h36m17").astype(np.float64),
        pose=predicted.pose.reshape(N, 72).astype(np.float64),
        betas=predicted.betas.astype(np.float64),
        camera=np.tile([0.9, 0.0, 0.1], (N, 1)),
    )


def spin_errors(people: People, predicted: BodyParameters, body: BodyModel) -> dict[str, float]:
    """SPIN's three numbers in plain NumPy: J14 from the regressor, root row 0, gendered truth, no vertex alignment."""
    mine = body.pose(predicted).vertices.astype(np.float64)
    still = people.parameters.replaced(transl=np.zeros((N, 3)))
    truth = np.stack(
        [
            load_body(None, {"m": "male", "f": "female"}[gender]).pose(still[[row]]).vertices[0].astype(np.float64)
            for row, gender in enumerate(GENDERS)
        ]
    )
    regressor = body.regressor("h36m17").toarray().astype(np.float64)
    a, b = regressor @ mine, regressor @ truth
    a, b = ((j - j[:, :1])[:, list(H36M_TO_J14)] for j in (a, b))
    return {
        "mpjpe": 1000 * np.linalg.norm(a - b, axis=-1).mean(),
        "pa_mpjpe": 1000
        * np.mean([np.linalg.norm(similar(x, y) - y, axis=-1).mean() for x, y in zip(a, b, strict=True)]),
        "pve": 1000 * np.linalg.norm(mine - truth, axis=-1).mean(),
    }


def similar(x: Any, y: Any) -> Any:
    """x after the similarity that brings it closest to y (Umeyama 1991)."""
    p, q = x - x.mean(0), y - y.mean(0)
    u, d, vt = np.linalg.svd(q.T @ p)
    sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (d * np.diag(sign)).sum() / (p * p).sum()
    return scale * p @ (u @ sign @ vt).T + y.mean(0)


def test_a_result_file_and_its_dataset_give_the_known_errors(
    hmrtk: Hmrtk, tmp_path: Path, people: People, predicted: BodyParameters, body: BodyModel
) -> None:
    files(tmp_path, people, predicted, body)
    assert hmrtk("ingest", "--dataset", "3dpw", "--format", "spin_npz", "--root", "3dpw_test.npz").code == 0
    done = hmrtk("import-predictions", "--format", "spin_npz", "results.npz", "--records", RECORDS,
                 "--out", "spin.parquet", "--name", "SPIN", "--json")  # fmt: skip
    assert done.json["matched_by"] == "order"
    assert done.json["predictions"] == N
    assert Predictions.read("spin.parquet").metadata.system == "SPIN"
    found = hmrtk(
        "evaluate", "--predictions", "spin.parquet", "--records", RECORDS, "--protocol", "spin", "--json"
    ).json
    assert found["n"] == N
    metrics = {name: found["metrics"][name] for name in ("mpjpe", "pa_mpjpe", "pve")}
    assert metrics == pytest.approx(spin_errors(people, predicted, body), abs=2e-3)


def test_the_same_bodies_score_zero(hmrtk: Hmrtk, tmp_path: Path, people: People, body: BodyModel) -> None:
    still = people.parameters.replaced(transl=np.zeros((N, 3)))
    files(tmp_path, people, still, body)
    hmrtk("ingest", "--dataset", "3dpw", "--format", "spin_npz", "--root", "3dpw_test.npz")
    done = hmrtk(
        "import-predictions", "--format", "spin_npz", "results.npz", "--records", RECORDS, "--out", "p.parquet"
    )
    assert done.out.splitlines() == ["spin: 12 predictions for 12 records, matched by order", "p.parquet"]
    found = hmrtk("evaluate", "--predictions", "p.parquet", "--records", RECORDS, "--json").json
    for name in ("mpjpe", "pa_mpjpe", "pve"):
        assert found["metrics"][name] == pytest.approx(0, abs=1e-3)


def test_a_subset_is_written_with_its_records(
    hmrtk: Hmrtk,
    failing: Callable[..., str],
    tmp_path: Path,
    people: People,
    predicted: BodyParameters,
    body: BodyModel,
) -> None:
    files(tmp_path, people, predicted, body)
    hmrtk("ingest", "--dataset", "3dpw", "--format", "spin_npz", "--root", "3dpw_test.npz")
    with np.load("results.npz") as whole:
        names = np.array([f"courtyard_00/image_{row:05d}.png" for row in range(N)])
        np.savez("some.npz", imgname=names[2:], **{name: whole[name][2:] for name in whole})
    call = ("import-predictions", "--format", "spin_npz", "some.npz", "--records", RECORDS, "--out", "some.parquet")
    message = failing(*call)
    assert message.startswith("some.npz: 2 of 12 records have no result, matched by image; the first: '3dpw/test/image")
    assert message.endswith("(--missing drop keeps the other 10, and says so)")
    assert not Path("some.parquet").exists()
    done = hmrtk(*call, "--missing", "drop")
    assert done.out.splitlines()[0] == "spin: 10 predictions for 12 records, matched by image"
    assert "some.records.parquet: the 10 records that have one; pass it to evaluate as --records" in done.out
    found = hmrtk("evaluate", "--predictions", "some.parquet", "--records", "some.records.parquet", "--json")
    assert found.json["n"] == 10


def test_mistakes_are_told_in_one_line(failing: Callable[..., str], hmrtk: Hmrtk, tmp_path: Path) -> None:
    out = ("--out", "p.parquet")
    assert failing("import-predictions", "--format", "spin", "x.npz", *out).startswith(
        "unknown format of results 'spin'; known: spin_npz"
    )
    assert failing("import-predictions", "--format", "spin_npz", "x.npz", *out) == "x.npz: no such file"
    assert hmrtk("import-predictions", "--format", "spin_npz", *out).code == 2
    assert hmrtk("import-predictions", "x.npz", *out).code == 2
    assert hmrtk("import-predictions", "--format", "spin_npz", "--match", "box", "x.npz", *out).code == 2
