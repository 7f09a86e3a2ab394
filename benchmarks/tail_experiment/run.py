"""Does a prototype memory help the tail? Trains every arm of every seed and writes what each says about every row.

Run ``python benchmarks/tail_experiment/run.py``. It works in ``--workspace`` (pictures, checkpoints; a few GB) and
writes ``rows.parquet`` and ``seed<n>.parquet`` into ``reports/results/tail_experiment``: a row per validation and test
picture; the first says what they are, the others have columns per arm. Arms that are there are not trained again, and a
killed arm goes on from its last state, so the whole may be done in pieces and on several machines. ``report.py`` makes
the tables. Nothing here looks at the test rows to choose anything.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent))

from arms import ARMS, MEAN_BODY, STAGE_ONE, Arm
from poses import MOTION, REGION_PX, make_records, make_shards, prototype_configs

from hmrtk.models.checkpoint import load_checkpoint, test_selection
from hmrtk.models.config import TrainConfig, load_config
from hmrtk.models.data import ShardRows
from hmrtk.models.hmr import HMR
from hmrtk.models.networks import build_network
from hmrtk.models.train import TrainingInputs, device_named, train
from hmrtk.models.validation import answers, body_errors
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.pipeline import build_prototypes
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import atomic_path, write_bytes
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.wording import counted

RESULTS = Path(__file__).resolve().parents[2] / "reports" / "results" / "tail_experiment"
JUDGED = ("val", "test")
ROWS = "rows.parquet"
"""What the rows are; the seeds' files have the same rows in the same order."""
FINEST = np.float32(32)
"""Errors are kept to 1/32 mm, which halves the files."""


@dataclass(frozen=True)
class Job:
    """One training of one seed; picklable."""

    workspace: Path
    results: Path
    seed: int
    name: str
    steps: int
    preset: str
    accelerator: str

    @property
    def folder(self) -> Path:
        return self.workspace / "runs" / f"seed{self.seed}" / self.name

    @property
    def path(self) -> Path:
        """The seed's results."""
        return self.results / f"seed{self.seed}.parquet"

    @property
    def done(self) -> bool:
        return self.path.is_file() and f"{self.name}.pve" in pq.read_schema(self.path).names

    def config(self) -> TrainConfig:
        """The preset with this arm's changes."""
        shared = [f"seed={self.seed}", "validate_rows=500", "checkpoint_every=250", "validate_every=1000"]
        if self.name == STAGE_ONE:
            return load_config("hmr", self.preset, None, [*shared, f"stages=[{{name: one, steps: {self.steps}}}]"])
        arm = ARMS[self.name]
        stage = f"stages=[{{name: two, steps: {self.steps}, memory: {str(arm.memory).lower()}}}]"
        return load_config("pmnet", self.preset, None, [*shared, stage, *arm.settings])


def prepare(workspace: Path, body: BodyModel, region_px: int) -> None:
    """Records, prototypes and pictures; what is there stays."""
    folder = workspace / "records"
    if not all((folder / f"{split}.parquet").is_file() for split in ("train", *JUDGED)):
        for split, table in make_records(body, told).items():
            table.write(folder / f"{split}.parquet")
    records = {split: RecordTable.read(folder / f"{split}.parquet") for split in ("train", *JUDGED)}
    for name, config in prototype_configs().items():
        path = workspace / "prototypes" / f"{name}.safetensors"
        if not path.is_file():
            build_prototypes(records["train"], body, config, path, told)
    make_shards(records, body, workspace / "shards", region_px, told)


def told(stage: str, done: int, total: int, note: str = "") -> None:
    """Progress in lines, the last of a stage only."""
    if done >= total:
        print(f"  {stage}: {done} {note}", flush=True)


def work(job: Job) -> tuple[Job, dict[str, np.ndarray], float]:
    """Train one job, then what it says about every row that is judged. Runs in a process of its own."""
    import torch

    torch.set_num_threads(1)
    body, begun, config = load_body(), time.perf_counter(), job.config()
    arm = ARMS.get(job.name, Arm("", "p3dh-k10"))
    prototypes = PrototypeSet.load(job.workspace / "prototypes" / f"{arm.prototypes}.safetensors")
    labels = prototypes if config.network == "pmnet" else None
    rows = {
        s: ShardRows({"motion": job.workspace / "shards"}, s, config.data, body, labels) for s in ("train", *JUDGED)
    }
    if arm.weights is None:
        init = None if job.name == STAGE_ONE else job.folder.parent / STAGE_ONE
        inputs = TrainingInputs(rows["train"], rows["val"], prototypes, body, init)
        train(config, inputs, job.folder, accelerator=job.accelerator)
        network = load_checkpoint(job.folder, body).network
    else:
        network = build_network(config, prototypes, body, weights=False).eval()
        trained = load_checkpoint(job.folder.parent / arm.weights, body).network
        network.load_state_dict(trained.state_dict())
        network.memory.choose(test_selection(config, memory=True))
    return job, judged(job, network, rows, body), time.perf_counter() - begun


def judged(job: Job, network: HMR, rows: dict[str, Any], body: BodyModel) -> dict[str, np.ndarray]:
    """Per row: errors in mm and, with a classifier, the chosen and the true prototype."""
    device = device_named(job.accelerator)
    network.to(device)
    found = [answers(network, rows[split].once(256, None), device) for split in JUDGED]
    values = {"sample_id": np.array([name for part in found for name in part.names])}
    errors = [body_errors(part.parameters, part.truth, body) for part in found]
    for name in ("mpjpe", "pa_mpjpe", "pve"):
        values[f"{job.name}.{name}"] = np.concatenate([part[name] for part in errors]).astype(np.float32)
    if (found[0].prototype >= 0).all():
        values[f"{job.name}.prototype"] = np.concatenate([part.prototype for part in found]).astype(np.int16)
        values[f"{job.name}.label"] = np.concatenate([part.label for part in found]).astype(np.int16)
    return values


def facts_of_rows(workspace: Path, body: BodyModel) -> dict[str, np.ndarray]:
    """Of every judged row: split, clip, action, the distances that order the tail, and the mean body's errors."""
    from hmrtk.toolkit.prototypes.measure import distances_to

    records = [RecordTable.read(workspace / "records" / f"{split}.parquet") for split in JUDGED]
    prototypes = {n: PrototypeSet.load(workspace / "prototypes" / f"{n}.safetensors") for n in prototype_configs()}
    singular = prototypes["p3dh-k10"].singular_set()
    parameters = [table.parameters() for table in records]
    turned = [p.replaced(global_orient=np.repeat(singular.global_orient, len(p), axis=0)) for p in parameters]
    both = {"distance": parameters, "distance_without_orientation": turned}
    found = {
        "sample_id": np.concatenate([table.sample_ids for table in records]),
        "split": np.concatenate([table.array("split") for table in records]),
        "clip": np.concatenate([table.array("sequence") for table in records]),
        "action": np.concatenate([table.array("action") for table in records]),
        **{n: np.concatenate([distances_to(p, singular, body) for p in parts]) for n, parts in both.items()},
    }
    for name, memory in prototypes.items():
        found[f"assigned.{name}"] = np.concatenate([distances_to(p, memory, body) for p in parameters])
    for part in parameters:
        mean_body = singular.parameters[np.zeros(len(part), np.int64)]
        for name, value in body_errors(mean_body, part, body).items():
            column = f"{MEAN_BODY}.{name}"
            found[column] = np.concatenate([found.get(column, np.empty(0, np.float32)), value.astype(np.float32)])
    return found


def append(path: Path, values: dict[str, np.ndarray]) -> None:
    """Add columns to a seed's file, whose rows they must follow; the first columns begin it."""
    names = {"sample_id": pa.array(list(values["sample_id"]))}
    table = pq.read_table(path) if path.is_file() else pa.table(names)
    if table["sample_id"].to_pylist() != list(values["sample_id"]):
        raise SystemExit(f"{path}: other rows than the arm's")
    for name, column in values.items():
        if name != "sample_id":
            rounded = np.round(column * FINEST) / FINEST if column.dtype == np.float32 else column
            table = table.append_column(name, pa.array(rounded))
    errors = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", use_dictionary=["sample_id"], use_byte_stream_split=errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("hmrtk-workspace/tail-experiment"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", default=",".join(ARMS), help="comma-separated")
    parser.add_argument("--stage-one", type=int, default=5000, help="steps")
    parser.add_argument("--stage-two", type=int, default=1500, help="steps")
    parser.add_argument("--preset", default="small", choices=REGION_PX, help="paper: ResNet-50 at 224 px, on a GPU")
    parser.add_argument("--accelerator", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no training after so long")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    body, begun = load_body(), time.monotonic()
    prepare(options.workspace, body, REGION_PX[options.preset])
    settings = {
        "poses": "shared motion" if MOTION.is_file() else "embedded", "stage_one": options.stage_one,
        "stage_two": options.stage_two, "preset": options.preset,
    }  # fmt: skip
    about = options.results / "settings.json"
    if about.is_file() and json.loads(about.read_text())["settings"] != settings:
        raise SystemExit(f"{about}: results of other settings lie there; pass another --results")
    if not about.is_file():
        about_all = {"settings": settings, "machine": machine(), "seconds": {}}
        write_bytes(about, json.dumps(about_all, indent=2).encode())
    if not (options.results / ROWS).is_file():
        facts = {name: pa.array(list(column)) for name, column in facts_of_rows(options.workspace, body).items()}
        with atomic_path(options.results / ROWS) as temporary:
            pq.write_table(pa.table(facts), temporary, compression="zstd")
    names = [name for name in options.arms.split(",") if name]
    for wanted, steps in (([STAGE_ONE], options.stage_one), (names, options.stage_two)):  # arms begin where it ended
        jobs = [
            Job(options.workspace, options.results, seed, name, steps, options.preset, options.accelerator)
            for name in wanted
            for seed in range(options.seeds)
        ]
        jobs = [job for job in jobs if not job.done]
        run_side_by_side(jobs, about, options.workers, lambda: (time.monotonic() - begun) / 60 > options.minutes)


def machine() -> str:
    """Processor, cores and torch, on which the first training was run."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{', '.join(sorted(names)) or 'unknown processor'}, {os.cpu_count()} cores{gpu}; torch {torch.__version__}"


def run_side_by_side(jobs: list[Job], about: Path, workers: int, late: Callable[[], bool]) -> None:
    """Train arms in processes of one thread each; no new one is begun when it is late."""
    os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
    waiting = list(jobs)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running: set[Future[Any]] = set()
        while running or (waiting and not late()):
            while waiting and len(running) < workers and not late():
                running.add(pool.submit(work, waiting.pop(0)))
            finished = next(as_completed(running))
            running.remove(finished)
            write(*finished.result(), about)


def write(job: Job, values: dict[str, np.ndarray], seconds: float, about: Path) -> None:
    """Write an arm's columns and its duration."""
    append(job.path, values)
    value = json.loads(about.read_text())
    value["seconds"][f"seed{job.seed}.{job.name}"] = round(seconds)
    write_bytes(about, json.dumps(value, indent=2).encode())
    pve = values[f"{job.name}.pve"]
    print(
        f"seed {job.seed} {job.name}: PVE {pve.mean():.1f} mm over {counted(len(pve), 'row')}, {seconds:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
