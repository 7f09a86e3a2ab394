"""Commands of the offline toolkit: ingest, prototypes, shards."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, Selection, chosen, data_options, engine_option, json_option, selects_records
from hmrtk.toolkit.wording import counted

if TYPE_CHECKING:
    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.shards.index import ShardIndex


@click.command()
@click.option("--dataset", default="embedded", show_default=True, help="A dataset by name, or bvh, amc, deepmimic.")
@click.option("--format", "fmt", help="Which of the dataset's formats, where it comes in several.")
@click.option("--root", type=PATH, help="Folder (or file) with the raw data; embedded needs none.")
@click.option("--out", type=PLACE, help="Folder for <split>.parquet; default: <workspace>/records/<dataset>.")
@click.option("--split", help="Only this split.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the reader is told, e.g. step=5; may be repeated. datasets show lists them.",
)
@data_options
@click.pass_obj
def ingest(
    console: Console,
    dataset: str,
    fmt: str | None,
    root: Path | None,
    out: Place | None,
    split: str | None,
    options: tuple[str, ...],
    body_path: Path | None,
    limit: int | None,
    seed: int,
) -> None:
    """Read raw files into record tables: one row per person and image."""
    from hmrtk.toolkit import pipeline
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.records.dense import dense_place
    from hmrtk.toolkit.sources.options import split_options

    out = out or pipeline.record_folder(console.workspace, dataset)
    told, body = split_options(options), load_body(body_path)
    tables = pipeline.ingest(
        dataset, fmt, root, out, body, split=split, limit=limit, seed=seed, options=told, progress=console.progress
    )
    places = {name: out / f"{name}.parquet" for name in tables}
    rows = {name: len(table) for name, table in tables.items()}
    dense = {name: len(table.dense) for name, table in tables.items() if table.dense is not None}
    lines = [f"{places[name]}: {counted(n, 'row')}" for name, n in rows.items()]
    lines += [
        f"{dense_place(places[name])}: {counted(n, 'row')} with masks or surface points" for name, n in dense.items()
    ]
    console.result({"out": str(out), "rows": rows, "dense": dense, "body": body.fingerprint}, lines)


@click.command("build-prototypes")
@click.option(
    "--k", type=click.IntRange(min=1), help="Number of prototypes; default: 50, or as many as --init FILE has."
)
@click.option(
    "--method",
    type=click.Choice(["p3dh", "3dh", "naive", "random", "mean"]),
    default="p3dh",
    show_default=True,
    help="p3dh is PM-Net's Algorithm 1; mean gives the singular prototype (K = 1).",
)
@click.option(
    "--weights", help="Part weights, e.g. limbs=5,torso=1,foot=.5,head=.3,hand=.3 (PM-Net III-C: the default)."
)
@click.option(
    "--init",
    default="random",
    show_default=True,
    metavar="[random|k-means++|FILE]",
    help="First centres: drawn, or the prototypes of a file.",
)
@click.option("--n-init", type=click.IntRange(min=1), help="Starts from different centres; the best is kept. [1]")
@click.option("--max-iter", type=click.IntRange(min=1), help="Stop after this many iterations.")
@click.option("--tol", type=click.FloatRange(min=0), help="Stop when the mean distance improves by less, relatively.")
@click.option(
    "--dims", type=click.IntRange(min=1), help="Principal directions kept; default: from the data. Only speed differs."
)
@click.option(
    "--on-error",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="Rows with NaN or absurd values: stop at the first, or leave them out, unlabelled.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--search",
    type=click.Choice(["pca", "faiss", "full"]),
    default="pca",
    show_default=True,
    help="A few directions, the same by FAISS on the CPU too, or all coordinates (big GPUs); labels stay exact.",
)
@engine_option
@click.option("--workers", type=click.IntRange(min=1), help="Workers of the Ray engine; default: all of the cluster.")
@click.option("--out", type=PLACE, help="PrototypeSet file (.safetensors); labels go beside it (.labels.parquet).")
@selects_records("train")
@click.pass_obj
def build_prototypes(
    console: Console,
    selection: Selection,
    k: int | None,
    method: str,
    weights: str | None,
    init: str,
    n_init: int | None,
    max_iter: int | None,
    tol: float | None,
    dims: int | None,
    on_error: str,
    device: str,
    search: str,
    engine: str,
    workers: int | None,
    out: Place | None,
) -> None:
    """Cluster the bodies of a dataset into K prototypes (P3DH K-Means) and label every sample.

    Killed? Run it again: it goes on from the last iteration.
    """
    from hmrtk.toolkit import pipeline
    from hmrtk.toolkit.body.parts import parse_weights
    from hmrtk.toolkit.engine.choice import engine_by_name
    from hmrtk.toolkit.engine.cluster import RayEngine
    from hmrtk.toolkit.errors import UnknownNameError
    from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
    from hmrtk.toolkit.prototypes.update import INITS
    from hmrtk.toolkit.records.artefact import require_writable
    from hmrtk.toolkit.records.remote import located
    from hmrtk.toolkit.records.salvage import NAMED, some_of

    left_out: list[str] = []
    if init not in INITS and not located(init).is_file():
        raise UnknownNameError("initialisation or file", init, INITS)
    start = None if init in INITS else PrototypeSet.load(init)
    body, records, name = selection.load(console.workspace, left_out if on_error == "skip" else None)
    config = PrototypeConfig(
        k=1 if method == "mean" else k or (len(start) if start else 50),
        method=method, seed=selection.seed, device=device, search=search,
        **chosen(weights=parse_weights(weights) if weights else None, max_iter=max_iter, tol=tol, dims=dims,
                 init=None if start else init, n_init=n_init),
    )  # fmt: skip
    out = out or pipeline.prototype_path(console.workspace, name, config)
    require_writable(out)
    with contextlib.closing(engine_by_name(engine, workers)) as running:
        cluster = running if isinstance(running, RayEngine) else None
        run = pipeline.build_prototypes(records, body, config, out, console.progress, start, cluster)
    value = {**run.summary(), "left_out": {"rows": len(left_out), "first": left_out[:NAMED]}}
    console.result(value, prototype_lines(value) + ([some_of(left_out)] if left_out else []))


@click.command("build-shards")
@click.option("--images", type=PLACE, help="Folder, archive or video that image_path is relative to.")
@click.option(
    "--synthesise/--no-synthesise",
    default=None,
    help="Make a picture where there is no photograph; default: only for the embedded dataset.",
)
@click.option(
    "--scene",
    type=click.Choice(["varied", "clear"]),
    default="varied",
    show_default=True,
    help="Of made pictures: with occluders, clutter and blur, or the whole person, sharp (for small networks).",
)
@click.option("--region", type=click.IntRange(min=32), help="Side of the stored picture, px; 400: crops of 222. [400]")
@click.option("--maps", default="iuv,location,joint,displacement", show_default=True, help="Which maps to store.")
@click.option("--prototypes", type=PLACE, help="PrototypeSet whose labels are stored with the rows.")
@engine_option
@click.option("--workers", type=click.IntRange(min=1), help="Parallel workers; default: all cores (of the cluster).")
@click.option("--append", is_flag=True, help="Add to the folder, or bring its rows of these records up to date.")
@click.option("--overwrite", is_flag=True, help="Replace shards made from other inputs or settings.")
@click.option(
    "--on-error",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="A photograph that is missing or damaged: stop, or leave its rows out and list them.",
)
@click.option("--out", type=PLACE, help="Folder of the shards; default: <workspace>/shards/<dataset>.")
@selects_records("all")
@click.pass_obj
def build_shards(
    console: Console,
    selection: Selection,
    images: Place | None,
    synthesise: bool | None,
    scene: str,
    region: int | None,
    maps: str,
    prototypes: Place | None,
    engine: str,
    workers: int | None,
    append: bool,
    overwrite: bool,
    on_error: str,
    out: Place | None,
) -> None:
    """Write training shards: picture, maps, camera and label of every record.

    Run again to resume; only what has changed is built. Other --prototypes change nothing but the labels.
    """
    from hmrtk.toolkit.engine.choice import engine_by_name
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
    from hmrtk.toolkit.shards import builder
    from hmrtk.toolkit.shards.plan import ShardConfig
    from hmrtk.toolkit.synthesis.scene_config import scene_named

    if append and overwrite:
        raise click.UsageError("--append keeps what is there, --overwrite replaces it: choose one")
    body, records, name = selection.load(console.workspace)
    config = ShardConfig(
        maps=tuple(m.strip() for m in maps.split(",") if m.strip()),
        images=images,
        synthesise=name == "embedded" if synthesise is None else synthesise,
        region_px=region or ShardConfig.region_px,
        scene=scene_named(scene),
        seed=selection.seed,
        on_error=on_error,
    )
    with contextlib.closing(engine_by_name(engine, workers)) as running:
        index = builder.build_shards(
            records,
            body,
            out or console.workspace / "shards" / name,
            config,
            PrototypeSet.load(prototypes) if prototypes else None,
            overwrite=overwrite,
            append=append,
            progress=console.progress,
            engine=running,
        )
    value = shard_summary(index)
    console.result(value, shard_lines(value))


@click.command("verify-shards")
@click.argument("directory", type=PLACE, required=False)
@json_option
@click.pass_obj
def verify_shards(console: Console, directory: Place | None) -> None:
    """Check hashes, schema, counts and pictures of shards; exit 1 on any damage."""
    from hmrtk.toolkit.shards.verify import verify_shards as verify

    report = verify(directory or console.workspace / "shards" / "embedded", console.progress)
    console.result(report.summary(), report.lines())
    if not report.ok:
        raise SystemExit(1)


def prototype_lines(value: dict[str, Any]) -> list[str]:
    """A finished ``build-prototypes`` in words."""
    compared = value["certified"] + value["rechecked"]
    stopped = f" ({value['stopped']})" if value["stopped"] else ""
    return [
        f"{value['method']}: {counted(value['k'], 'prototype')} of {counted(value['samples'], 'body', 'bodies')}, "
        f"{counted(value['iterations'], 'iteration')}{stopped}",
        f"labels: {value['certified']} of {compared} proved by bounds, {value['rechecked']} compared in full",
        f"mean distance: {value['mean_distance_mm']:.1f} mm to the assigned prototype, "
        f"{value['mean_distance_to_singular_mm']:.1f} mm to the singular one",
        value["out"],
        value["labels"],
    ]


def shard_summary(index: ShardIndex) -> dict[str, Any]:
    """A shard folder's index as plain JSON values."""
    from hmrtk.toolkit.shards.standing import unfinished

    return {
        "out": str(index.root),
        "rows": index.rows,
        "splits": index.splits,
        "shards": len(index.shards),
        "bytes": sum(shard.bytes for shard in index.shards),
        "body": index.body,
        "prototypes": index.prototypes,
        "left_out": index.left_out,
        "unfinished": unfinished(index),
    }


def shard_lines(value: dict[str, Any]) -> list[str]:
    """A finished ``build-shards`` in words."""
    from hmrtk.toolkit.records.salvage import some_of

    splits, waiting = (
        ", ".join(f"{name} {rows}" for name, rows in value[key].items()) for key in ("splits", "unfinished")
    )
    return [
        f"{counted(value['rows'], 'row')} ({splits}) in {counted(value['shards'], 'shard')}, "
        f"{value['bytes'] / 1e6:.0f} MB: {value['out']}",
        *([some_of(value["left_out"])] if value["left_out"] else []),
        *([f"stopped before: {waiting} (give their records with --append)"] if waiting else []),
    ]
