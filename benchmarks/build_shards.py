"""Building shards: rows per second beside a plain script, where the time goes, and cost and memory up to 312 188 rows.

Run ``python benchmarks/build_shards.py``; it writes ``results/build_shards.md``, ``.json`` and ``.png``. ``--rows``
says how large the largest build is; each size runs in a process of its own, so that its peak memory is its own, and is
kept in the JSON file: a run that was broken off goes on where it stopped, ``--again`` measures anew.

The plain script does the same work as ours for the same rows, one row after the other, as one writes it in an
afternoon: ``cv2.imread``, ``cv2.warpAffine`` of the region, ``cv2.imencode`` (quality 92), the body posed and the four
maps rendered by hmrtk's own functions for that row, and a ``pyarrow`` table per 500 rows, written with zstd.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rounds import RESULTS, machine, measure, ratio, speed_row

from hmrtk.toolkit.body.model import Body, BodyModel, load_body
from hmrtk.toolkit.maps.assignment import assigned_joints, displacement_map, joint_map
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.maps.views import record_views
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards import pictures, writer
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.compose import Composer
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.sources.embedded import embedded_records

HERE = Path(__file__).resolve()
H36M = 312_188
"""Training rows of Human3.6M."""
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, H36M)
ROWS, PHOTO_PX, PEOPLE = 300, (1002, 1000), 2
OURS = "ours, all cores"
SMALL = {"region_px": 48, "iuv_px": 16, "uv_px": 16}


def with_pictures(records: RecordTable, names: list[str]) -> RecordTable:
    """The records with a photograph each."""
    place = RECORD_SCHEMA.get_field_index("image_path")
    field = RECORD_SCHEMA.field("image_path")
    return RecordTable(records.table.set_column(place, field, pa.array(names, field.type)), records.metadata)


def photographs(folder: Path, count: int) -> list[str]:
    """JPEGs of Human3.6M's size: smooth shapes with noise, about 200 KB each."""
    y, x = np.mgrid[: PHOTO_PX[0], : PHOTO_PX[1]].astype(np.float32)[:, :, :, None] / 90
    for number in range(count):
        rng = np.random.default_rng([0, number])
        waves = np.sin(x * rng.uniform(1, 4, 3) + rng.uniform(0, 6)) + np.sin(y * rng.uniform(1, 4, 3))
        picture = np.clip(128 + 50 * waves + rng.normal(0, 6, (*PHOTO_PX, 1)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return [f"{number}.jpg" for number in range(count) for _ in range(PEOPLE)]


def plain_build(records: RecordTable, body: BodyModel, composer: Composer, folder: Path, out: Path) -> None:
    """The plain script; regions and cameras are computed at once, they are NumPy in any script."""
    config, rows = composer.config, []
    crops = record_crops(records, body, config.expansion)
    views, affines = record_views(records, crops), crops.region_affine(config.region_px)
    camera = views.through(crops.region_affine(1)[views.rows])
    kept = {name: records.array(name) for name in ("global_orient", "body_pose", "betas", "keypoints2d")}
    names, ids = records.table["image_path"].to_pylist(), records.sample_ids
    for number, name in enumerate(names):
        affine = affines[number].astype(np.float64)
        photo = cv2.imread(str(folder / name))
        affine[:, 2] += affine[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's pixel centres
        region = cv2.warpAffine(photo, affine, (config.region_px, config.region_px), flags=cv2.INTER_LINEAR)
        jpeg = cv2.imencode(".jpg", region, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
        one = slice(number, number + 1)
        there = Projection(camera.matrix[one] * config.iuv_px, camera.translation[one])
        row = {"sample_id": ids[number], "image": {"bytes": jpeg, "path": name}}
        rows.append(row | {n: values[number].ravel() for n, values in kept.items()})
        rows[-1] |= plain_maps(body.pose(views.parameters[number : number + 1]), there, body, composer)
        if len(rows) == config.rows_per_shard or number == len(names) - 1:
            path = out / f"{number:06d}.parquet"
            pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd", row_group_size=config.rows_per_group)
            rows = []


def plain_maps(posed: Body, camera: Projection, body: BodyModel, composer: Composer) -> dict[str, Any]:
    """The maps of one row, flat."""
    size, root = composer.config.iuv_px, posed.joints[:, 0]
    maps = {
        "iuv": render_iuv_projected(posed.vertices, camera, composer.atlas, size, composer.config.texture, threads=1),
        "location": composer.uv_space.location(posed.vertices, root, threads=1),
    }
    joints = assigned_joints(body, posed, composer.config.joint_set)
    maps["joint"] = joint_map(joints, root, composer.assignment)
    maps["displacement"] = displacement_map(maps["location"], maps["joint"], composer.assignment)
    return {name: value[0].astype(np.uint8 if name == "iuv" else np.float16).ravel() for name, value in maps.items()}


STAGES: dict[str, list[tuple[Any, str]]] = {
    "read and decode pictures": [(pictures.PhotoReader, "_read")],
    "cut out the region": [(pictures, "warp_image")],
    "encode JPEG": [(pictures, "encode_jpeg")],
    "pose bodies": [(Composer, "_pose")],
    "render maps": [(Composer, "_maps")],
    "write Parquet": [(pq.ParquetWriter, "write_table"), (writer, "file_fingerprint")],
}


@contextlib.contextmanager
def timed_stages() -> Iterator[dict[str, float]]:
    """Seconds spent in each stage, summed over all calls."""
    spent: dict[str, float] = defaultdict(float)
    kept = [(owner, name, getattr(owner, name)) for places in STAGES.values() for owner, name in places]
    for stage, places in STAGES.items():
        for owner, name in places:
            setattr(owner, name, _timed(getattr(owner, name), stage, spent))
    try:
        yield spent
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def _timed(function: Callable[..., Any], stage: str, spent: dict[str, float]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[stage] += time.perf_counter() - start

    return call


def against_plain_script(rounds: int, budget: float) -> dict[str, Any]:
    """Rows per second of ours and of the plain script, and ours by stage."""
    body = load_body()
    with tempfile.TemporaryDirectory(prefix="hmrtk-build-") as name:
        folder = Path(name)
        names = photographs(folder, ROWS // PEOPLE)
        whole = embedded_records("train", body)
        records = with_pictures(whole.take(np.linspace(0, len(whole) - 1, ROWS).astype(int)), names)
        config = ShardConfig(images=folder)
        composer = Composer(body.arrays, config)

        def ours(workers: int) -> Callable[[], None]:
            def run() -> None:
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    build_shards(records, body, out, config, workers=workers)

            return run

        def plain() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                plain_build(records, composer.body, composer, folder, Path(out))

        contenders = {OURS: ours(len(os.sched_getaffinity(0))), "ours, 1 thread": ours(1), "plain script": plain}
        timings = measure(contenders, rounds, budget, length=0.1)
        with timed_stages() as spent:
            start = time.perf_counter()
            ours(1)()
            total = time.perf_counter() - start
    table = [
        "| | rows per second | best round | per processor second | others | ours : this |",
        "|---|---|---|---|---|---|",
    ]
    table += [speed_row(n, t, ROWS, f" {ratio(timings[OURS], t)} |") for n, t in timings.items()]
    shares = {stage: spent[stage] / total for stage in STAGES}
    shares["all else: plan, records, table, offsets"] = 1 - sum(shares.values())
    stages = [
        "| stage | share of the time, 1 thread |",
        "|---|---|",
        *(f"| {n} | {s:.0%} |" for n, s in shares.items()),
    ]
    return {
        "text": "\n".join([*table, "", *stages]),
        "timings": {n: t.numbers(ROWS) for n, t in timings.items()},
        "shares": shares,
    }


def many_records(rows: int, body: BodyModel) -> RecordTable:
    """The embedded training records again and again, under new names, with a photograph each."""
    whole = embedded_records("train", body)
    table = pa.concat_tables([whole.table] * -(-rows // len(whole))).slice(0, rows)
    ids = pa.array([f"again/{number:07d}" for number in range(rows)])
    table = table.set_column(0, RECORD_SCHEMA.field("sample_id"), ids)
    return with_pictures(RecordTable(table, whole.metadata), [f"{n // 1000:03d}/{n:07d}.jpg" for n in range(rows)])


def one_size(rows: int) -> None:
    """Build so many rows with small pictures and maps; print seconds and peak memory as JSON. Runs in a child."""
    body = load_body()
    with tempfile.TemporaryDirectory(prefix="hmrtk-build-") as name:
        folder = Path(name)
        (folder / "one.jpg").write_bytes(cv2.imencode(".jpg", np.full((250, 250, 3), 90, np.uint8))[1].tobytes())
        for start in range(0, rows, 1000):
            (folder / f"{start // 1000:03d}").mkdir()
            for number in range(start, min(start + 1000, rows)):
                (folder / f"{number // 1000:03d}/{number:07d}.jpg").symlink_to(folder / "one.jpg")
        config = ShardConfig(images=folder, **SMALL)
        records = many_records(rows, body)
        build_shards(records.head(100), body, folder / "warm", config)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        own, clock = sum(os.times()[:2]), time.perf_counter()
        ticks: list[tuple[int, float]] = []
        index = build_shards(
            records, body, folder / "out", config, progress=lambda s, d, t, n="": ticks.append((d, time.perf_counter()))
        )
        seconds, used = time.perf_counter() - clock, sum(os.times()[:2]) - own
        inner = (ticks[-1][1] - ticks[0][1], ticks[0][1] - clock, seconds - (ticks[-1][1] - clock))
        assert index.rows == rows
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    keys = ("rows", "seconds", "processor", "composing", "before", "after", "peak", "peak_before")
    print(json.dumps(dict(zip(keys, (rows, seconds, used, *inner, peak, before), strict=True))))


def scale(sizes: list[int], known: dict[str, Any], again: bool) -> dict[str, Any]:
    """One child per size that is not known yet."""
    for rows in sizes:
        if str(rows) in known and not again:
            continue
        done = subprocess.run([sys.executable, str(HERE), "--one", str(rows)], stdout=subprocess.PIPE, check=True)
        known[str(rows)] = json.loads(done.stdout.splitlines()[-1])
        print(known[str(rows)], flush=True)
        keep({"scale": known})
    return known


def keep(numbers: dict[str, Any]) -> dict[str, Any]:
    """Add to ``results/build_shards.json``; all that is there."""
    path = RESULTS / "build_shards.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    kept |= {**numbers, "machine": machine()}
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return kept


def draw(points: list[dict[str, Any]]) -> None:
    """Cost per row and peak memory over the number of rows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [p["rows"] for p in points]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(rows, [1000 * p["processor"] / p["rows"] for p in points], "o-", label="processor time")
    left.plot(rows, [1000 * p["seconds"] / p["rows"] for p in points], "o--", label="by the clock")
    left.set(xscale="log", xlabel="rows", ylabel="ms per row", title="cost of a row", ylim=(0, None))
    left.legend()
    right.plot(rows, [p["peak"] / 1e9 for p in points], "o-")
    right.axhline(1.5, color="0.6", linestyle=":")
    right.set(xscale="log", xlabel="rows", ylabel="GB", title="peak memory of the process", ylim=(0, 1.6))
    figure.savefig(RESULTS / "build_shards.png", dpi=110)


def report(kept: dict[str, Any]) -> str:
    points = sorted(kept["scale"].values(), key=lambda p: p["rows"])
    draw(points)
    lines = ["| rows | ms per row, processor | by the clock | planning s | after the last row s | peak GB |"]
    lines.append("|---|---|---|---|---|---|")
    for p in points:
        cost = f"{1000 * p['processor'] / p['rows']:.2f} | {1000 * p['seconds'] / p['rows']:.2f}"
        lines.append(f"| {p['rows']} | {cost} | {p['before']:.1f} | {p['after']:.1f} | {p['peak'] / 1e9:.2f} |")
    return "\n".join([
        "# Building shards",
        "",
        f"{ROWS} rows, {PEOPLE} people in each photograph of {PHOTO_PX[1]} x {PHOTO_PX[0]} px, regions of 400 px, all"
        " four maps. The plain script: `cv2.imread`, `warpAffine`, `imencode`, body and maps by hmrtk's functions row"
        " by row, one pyarrow table per 500 rows; it keeps fewer columns, and writes no index, offsets or checksums.",
        "",
        kept["plain"]["text"],
        "",
        f"Many rows with small pictures and maps ({', '.join(f'{k} {v}' for k, v in SMALL.items())}): the embedded"
        " records again and again, a JPEG of 250 px opened for each. The cost that does not depend on the size of"
        " pictures, and what grows with the number of rows.",
        "",
        *lines,
        "",
        "![cost of a row and memory](build_shards.png)",
        "",
        f"Machine: {kept['machine']}. Processor time is the number to compare where others use it."
        f" {kept.get('note', '')}",
        "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=H36M, help="of the largest build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=120, help="seconds for the comparison")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one_size(options.one)
        return
    RESULTS.mkdir(exist_ok=True)
    kept = keep({})
    if options.again or "plain" not in kept:
        keep({"plain": against_plain_script(options.rounds, options.budget)})
    scale(
        [size for size in SIZES if size <= options.rows], {} if options.again else kept.get("scale", {}), options.again
    )
    text = report(keep({}))
    print(text)
    (RESULTS / "build_shards.md").write_text(text)


if __name__ == "__main__":
    main()
