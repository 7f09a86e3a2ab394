"""Training: a killed run ends as an uninterrupted one does, bit by bit, and every setting does what it says."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hmrtk.models.checkpoint import load_checkpoint
from hmrtk.models.config import OptimiserConfig
from hmrtk.models.losses import training_loss
from hmrtk.models.networks import build_network, random_state
from hmrtk.models.train import TrainingInputs, learning_rate, train
from hmrtk.models.training_log import read_log
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records.folder_lock import held

SMOOTH = ("backbone.name=test_convnext", "regressor.dropout=0.0")
"""No batch statistics, no random numbers: what is left depends on the rows of a step alone."""


@pytest.fixture(scope="module")
def inputs(stub: ModuleType, body: BodyModel) -> TrainingInputs:
    return stub.quick_inputs(body)


@pytest.fixture(scope="module")
def run(stub: ModuleType, inputs: TrainingInputs) -> Callable[..., dict[str, Any]]:
    """(network, out, changes, options of train) → the report."""

    def trained(
        network: str, out: Path, *changes: str, given: TrainingInputs = inputs, **options: Any
    ) -> dict[str, Any]:
        return train(stub.quick_config(network, *changes), given, out, accelerator="cpu", **options)

    return trained


@pytest.fixture(scope="module")
def whole(run: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of an uninterrupted run of a network."""
    done: dict[str, Path] = {}

    def folder(network: str) -> Path:
        if network not in done:
            done[network] = tmp_path_factory.mktemp(network)
            run(network, done[network])
        return done[network]

    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    """What a run leaves behind, but TensorBoard's events, which hold times."""
    files = [file for file in folder.rglob("*") if file.is_file() and "tensorboard" not in file.parts]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


class Killed(Exception):
    """Stands in for a kill."""


def _kill_after(calls: int) -> Callable[..., None]:
    left = [calls]

    def progress(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return progress


# -- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["hmr", "pmnet"])
def test_a_killed_run_equals_a_whole_one(
    run: Callable[..., dict[str, Any]], whole: Callable[[str], Path], tmp_path: Path, network: str
) -> None:
    """Curves, weights, best weights: all bytes; killed again and again, with dropout and in both stages."""
    expected, rng = _contents(whole(network)), np.random.default_rng(3 if network == "hmr" else 5)
    for calls in rng.integers(0, 8, 3).tolist():
        with pytest.raises(Killed):
            run(network, tmp_path, progress=_kill_after(calls))
    run(network, tmp_path)
    assert _contents(tmp_path) == expected


def test_a_kill_in_a_validation(
    run: Callable[..., dict[str, Any]], whole: Callable[[str], Path], tmp_path: Path
) -> None:
    """After its best weights are written, before its state is: the state is an earlier one."""

    def kill(*_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        run("hmr", tmp_path, on_validation=kill)
    assert (tmp_path / "one" / "state.pt").is_file()
    run("hmr", tmp_path)
    assert _contents(tmp_path) == _contents(whole("hmr"))


def test_a_whole_run_is_not_trained_again(
    run: Callable[..., dict[str, Any]], whole: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(whole("pmnet"), tmp_path / "copy")
    (tmp_path / "copy" / "checkpoint.json").unlink()
    run("pmnet", tmp_path / "copy", progress=_kill_after(0))
    assert _contents(tmp_path / "copy") == _contents(whole("pmnet"))


SCRIPT = """
import importlib.util, sys
from pathlib import Path

if __name__ == "__main__":
    import torch
    from hmrtk.models.train import train
    from hmrtk.toolkit.body.model import load_body

    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("stub_rows", sys.argv[1])
    stub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stub)
    config = stub.quick_config(sys.argv[3], *sys.argv[5:])
    train(config, stub.quick_inputs(load_body()), Path(sys.argv[2]), accelerator="cpu", devices=int(sys.argv[4]),
          progress=lambda *_: print("step", flush=True))
"""


def _process(stub: ModuleType, folder: Path, network: str, devices: int = 1, *changes: str) -> subprocess.Popen[str]:
    script = folder.parent / "training.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, stub.__file__, folder, network, str(devices), *changes]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={
        **os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


@pytest.mark.slow
def test_sigkill_at_random_steps(stub: ModuleType, whole: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    for steps in np.random.default_rng(1).integers(1, 7, 2).tolist():
        process = _process(stub, out, "pmnet")
        assert process.stdout is not None
        for _ in range(steps):
            assert process.stdout.readline() == "step\n"
        process.kill()
        process.communicate()
        assert process.returncode == -9
        assert not (out / "checkpoint.json").exists()
    process = _process(stub, out, "pmnet")
    assert process.communicate() is not None
    assert process.returncode == 0
    assert _contents(out) == _contents(whole("pmnet"))


# -- several processes and parts --------------------------------------------------------------------------------------


def test_two_halves_equal_a_batch(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """Without batch statistics and dropout: the losses and the gradient of each step, but for rounding."""
    run("pmnet", tmp_path / "whole", *SMOOTH)
    run("pmnet", tmp_path / "halves", *SMOOTH, "accumulate=2")
    _same_curves(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.slow
def test_two_processes_equal_one(stub: ModuleType, run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """Each with half of every batch: the same losses and gradients, but for rounding; one writes the files."""
    process = _process(stub, tmp_path / "two", "pmnet", 2, *SMOOTH)
    try:
        _, log = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.skip("two processes cannot meet over gloo here")
    if process.returncode and "gloo" in log.lower():
        pytest.skip(f"gloo does not work here: {log.splitlines()[-1]}")
    assert process.returncode == 0, log
    run("pmnet", tmp_path / "one", *SMOOTH)
    _same_curves(tmp_path / "one", tmp_path / "two")
    assert json.loads((tmp_path / "two" / "run.json").read_text()) == json.loads(
        (tmp_path / "one" / "run.json").read_text()
    )


def _same_curves(first: Path, second: Path) -> None:
    for stage in ("one", "two"):
        rows, others = (read_log(folder / stage / "train.csv") for folder in (first, second))
        assert [row["step"] for row in rows] == [row["step"] for row in others]
        for row, other in zip(rows, others, strict=True):
            rounding = 1e-5 if (stage, row["step"]) == ("one", "0") else 2e-2  # Adam enlarges what is rounded
            for name in ("total", "joints3d", "keypoints2d", "pose", "betas", "gradient_norm"):
                assert float(other[name]) == pytest.approx(float(row[name]), rel=rounding), (stage, row["step"], name)


# -- stages -----------------------------------------------------------------------------------------------------------


def test_stage_one_of_pmnet_is_hmr(whole: Callable[[str], Path]) -> None:
    """§III-D: without the classifier and its loss."""
    assert _contents(whole("hmr"))["one/train.csv"] == _contents(whole("pmnet"))["one/train.csv"]
    hmr, pmnet = (load_file(whole(n) / "one" / "model.safetensors") for n in ("hmr", "pmnet"))
    assert all(torch.equal(value, pmnet[name]) for name, value in hmr.items() if not name.startswith("memory."))


def test_stage_two_starts_from_stage_one(
    stub: ModuleType, inputs: TrainingInputs, body: BodyModel, whole: Callable[[str], Path]
) -> None:
    folder = whole("pmnet")
    one = load_checkpoint(folder / "one", body)
    drawn = build_network(one.config, inputs.prototypes, body)
    assert torch.equal(one.network.memory.classifier.weight, drawn.memory.classifier.weight)
    network = one.network.train()
    network.memory.choose("soft")
    batch = next(inputs.rows.batches(4, 0, (0, 1), one.config.seed + 1000))
    with random_state(one.config.seed, 1, 0, 0, 0):
        terms = training_loss(network(batch), batch, one.config.loss)
    first = read_log(folder / "two" / "train.csv")[0]
    for name, term in terms.items():
        assert float(first[name]) == pytest.approx(float(term.detach()), rel=1e-6), name
    two = load_checkpoint(folder / "two", body).network
    assert not torch.equal(two.memory.classifier.weight, drawn.memory.classifier.weight)
    assert torch.equal(two.memory.rows, one.network.memory.rows)


def test_the_folder_of_a_run(whole: Callable[[str], Path], body: BodyModel) -> None:
    files = _contents(whole("pmnet"))
    checkpoint = {"checkpoint.json", "config.yaml", "model.safetensors", "prototypes.safetensors"}
    expected = {f"{place}{name}" for place in ("", "one/", "two/", "one/best/", "two/best/") for name in checkpoint}
    curves = {f"{stage}/{name}.csv" for stage in ("one", "two") for name in ("train", "validation")}
    assert set(files) == expected | curves | {"run.json", ".lock"}
    assert files["model.safetensors"] == files["two/model.safetensors"]
    about = json.loads(files["checkpoint.json"])
    assert (about["stage"], about["memory"], about["step"]) == ("two", True, 5)
    assert about["inputs"] == {"shards.stub": "0" * 16}
    assert load_checkpoint(whole("pmnet"), body).network.memory.selection == "soft"
    assert load_checkpoint(whole("pmnet") / "one", body).network.memory.selection == "singular"


def test_cadence(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def told(stage: str, step: int, *_: object) -> None:
        assert (tmp_path / "one" / "state.pt").is_file() == (step >= 3)
        seen.append((stage, step))

    report = run("hmr", tmp_path, "log_every=3", "validate_every=2", "stages.0.steps=7", on_validation=told)
    assert seen == [("one", step) for step in (2, 4, 6, 7)]
    assert [row["step"] for row in read_log(tmp_path / "one" / "train.csv")] == ["0", "3", "6"]
    validation = read_log(tmp_path / "one" / "validation.csv")
    assert [row["step"] for row in validation] == ["2", "4", "6", "7"]
    assert report["one"]["pve"] == float(validation[-1]["pve"])
    best = json.loads((tmp_path / "one" / "best" / "checkpoint.json").read_text())
    assert best["step"] == int(min(validation, key=lambda row: float(row["pve"]))["step"])


def test_epochs_are_passes_over_the_rows(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    run("hmr", tmp_path, "stages=[{name: one, epochs: 1.67}]")  # of 13 // 4 = 3 steps
    assert len(read_log(tmp_path / "one" / "train.csv")) == 5


def test_without_validation(run: Callable[..., dict[str, Any]], inputs: TrainingInputs, tmp_path: Path) -> None:
    report = run("hmr", tmp_path, "stages.0.steps=2", given=replace(inputs, validation=None))
    assert report == {}
    assert (tmp_path / "checkpoint.json").is_file()
    assert not (tmp_path / "one" / "validation.csv").exists()


def test_begins_with_another_runs_weights(
    run: Callable[..., dict[str, Any]], whole: Callable[[str], Path], inputs: TrainingInputs, body: BodyModel,
    tmp_path: Path,
) -> None:  # fmt: skip
    given = replace(inputs, init=whole("hmr"))
    report = run("hmr", tmp_path, "optimiser.learning_rate=1e-20", "stages.0.steps=1", given=given)
    assert report["init"]["loaded"] > 50
    assert report["init"]["missing"] == []
    before, after = (load_file(folder / "model.safetensors") for folder in (whole("hmr"), tmp_path))
    assert all(torch.equal(before[name], after[name]) for name in before if "running" not in name and "num" not in name)


@pytest.mark.parametrize("changes", [("precision=bf16-mixed",), ("memory.hypotheses=2", "loss.prototype_balance=0.5"),
                                     ("memory.selection=singular",)])  # fmt: skip
def test_other_ways_to_train(run: Callable[..., dict[str, Any]], tmp_path: Path, changes: tuple[str, ...]) -> None:
    report = run("pmnet", tmp_path, "stages.0.steps=2", "stages.1.steps=2", *changes)
    assert math.isfinite(report["two"]["pve"])
    assert "prototype" not in read_log(tmp_path / "one" / "train.csv")[0]
    row = read_log(tmp_path / "two" / "train.csv")[0]
    assert float(row["prototype"]) > 0
    assert ("evidence" in row) == ("memory.hypotheses=2" in changes)


# -- errors -----------------------------------------------------------------------------------------------------------


def test_another_run_is_refused(
    run: Callable[..., dict[str, Any]], whole: Callable[[str], Path], inputs: TrainingInputs, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole("hmr"), folder)
    before = _contents(folder)
    with pytest.raises(InputError) as caught:
        run("hmr", folder, "seed=1", "optimiser.clip=3")
    assert str(caught.value) == (
        f"{folder}: holds a run with config.optimiser.clip 20.0, not 3.0; config.seed 0, not 1 (pass --overwrite to "
        "begin again, or another --out)"
    )
    with pytest.raises(InputError, match=r"holds a run with inputs.shards.stub '0000000000000000', not 'ff' "):
        run("hmr", folder, given=replace(inputs, fingerprints={"shards.stub": "ff"}))
    with pytest.raises(InputError, match=r"holds a run with config.network 'hmr', not 'pmnet'; "):
        run("pmnet", folder)
    assert _contents(folder) == before
    (folder / "run.json").write_text("{")
    with pytest.raises(
        InputError, match=r"run\.json: is not readable JSON .pass --overwrite, or choose another --out."
    ):
        run("hmr", folder)
    (folder / "run.json").unlink()
    with pytest.raises(InputError, match=r"run: holds a checkpoint, and no run .pass --overwrite to begin here, or"):
        run("hmr", folder)


def test_overwriting_begins_again_and_spares_other_runs(
    run: Callable[..., dict[str, Any]], whole: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(whole("pmnet"), tmp_path / "other")
    with pytest.raises(Killed):
        run("hmr", tmp_path, "seed=1", progress=_kill_after(4))
    run("hmr", tmp_path, overwrite=True)
    assert _contents(tmp_path / "other") == _contents(whole("pmnet"))
    mine = {name: value for name, value in _contents(tmp_path).items() if not name.startswith("other")}
    assert mine == _contents(whole("hmr"))


def test_a_batch_that_does_not_divide(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data.batch: 4 rows cannot be divided among 3 parts$"):
        run("hmr", tmp_path, "accumulate=3")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("devices", [1, 2])
def test_devices_that_are_not_there(stub: ModuleType, inputs: TrainingInputs, tmp_path: Path, devices: int) -> None:
    with pytest.raises(InputError) as caught:
        train(stub.quick_config("hmr"), inputs, tmp_path, accelerator="cuda", devices=devices)
    assert str(caught.value).startswith(f"accelerator cuda: {devices} cannot be had: ")
    assert str(caught.value).endswith("(hmrtk doctor says what is there)")
    assert "\n" not in str(caught.value)


def test_a_run_that_diverges(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    wild = ("optimiser.learning_rate=1e30", "optimiser.clip=null", "regressor.dropout=0")
    with pytest.raises(InputError) as caught:
        run("hmr", tmp_path / "told", *wild)
    assert str(caught.value) in [
        f"step 1 of stage one: the loss is {value} (lower optimiser.learning_rate, or set optimiser.clip)"
        for value in ("nan", "inf")
    ]
    with pytest.raises(InputError, match=r"^step 2 of stage one: \S+ is not finite .lower optimiser.learning_rate, or"):
        run("hmr", tmp_path / "unseen", *wild, "log_every=100")
    assert not (tmp_path / "unseen" / "one" / "state.pt").exists()


def test_learning_rates_by_hand() -> None:
    constant = OptimiserConfig(learning_rate=0.1)
    assert [learning_rate(constant, step, 9) for step in (0, 8)] == [0.1, 0.1]
    rising = OptimiserConfig(learning_rate=0.1, warmup=4)
    assert [learning_rate(rising, step, 9) for step in range(6)] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
    falling = OptimiserConfig(learning_rate=0.1, decay="cosine")
    assert [learning_rate(falling, step, 4) for step in range(5)] == pytest.approx(
        [0.1, 0.05 * (1 + 0.5**0.5), 0.05, 0.05 * (1 - 0.5**0.5), 0]
    )


def test_a_second_training_in_the_folder_is_refused(stub: ModuleType, inputs: TrainingInputs, tmp_path: Path) -> None:
    with held(tmp_path, "training into it"), pytest.raises(OutputError, match="another process is training into it"):
        train(stub.quick_config("hmr"), inputs, tmp_path, accelerator="cpu")
    assert not (tmp_path / "run.json").exists()
