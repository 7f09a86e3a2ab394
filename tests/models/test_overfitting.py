"""One batch of real poses with random pictures can be learned by heart: below 5 mm MPVPE, by HMR and by PM-Net."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from hmrtk.models.config import load_config
from hmrtk.models.train import TrainingInputs, train
from hmrtk.models.training_log import read_log
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.sources.embedded import embedded_records

PEOPLE = 12
CHANGES = (
    "regressor.hidden=256", "regressor.dropout=0.0", "data.size=64",
    f"data.batch={PEOPLE}", "data.augmentation=none", "optimiser.warmup=20", "validate_every=1000",
    "checkpoint_every=1000",
)  # fmt: skip
"""Of the presets ``small``: no dropout, every step the whole batch."""


@pytest.fixture(scope="module")
def bodies(body: BodyModel) -> BodyParameters:
    """Read before a test sets its threads: records' kernels set them as well."""
    return embedded_records("train", body, limit=PEOPLE).parameters()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "steps"), [("hmr", ("stages.0.steps=350",)), ("pmnet", ("stages.0.steps=150", "stages.1.steps=350"))]
)
def test_one_batch_is_learned_by_heart(
    stub: ModuleType, body: BodyModel, bodies: BodyParameters, tmp_path: Path, network: str, steps: tuple[str, ...]
) -> None:
    rows = stub.StubRows(stub.columns_of(bodies, body, size=64))
    inputs = TrainingInputs(rows, rows, stub.prototypes_of(body), body)
    report = train(load_config(network, "small", changes=(*CHANGES, *steps)), inputs, tmp_path, accelerator="cpu")
    last = "two" if network == "pmnet" else "one"
    assert report["mean_body"]["pve"] > 100
    assert report[last]["pve"] < 5
    losses = [float(row["total"]) for row in read_log(tmp_path / last / "train.csv")]
    assert losses[-1] < losses[0] / 20
    if network == "pmnet":
        assert report["two"]["accuracy"] == 1
