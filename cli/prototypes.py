"""``show-prototypes``: prototypes to look at and for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, Selection, selects_records

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
    from hmrtk.toolkit.records.remote import Place

EXPORTS = ("gltf", "obj", "spin", "npy")


def _exports(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    unknown = [name for name in names if name not in EXPORTS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(EXPORTS)}")
    return names


@click.command("show-prototypes")
@click.argument("file", type=PLACE, required=False)
@click.option("--out", type=PATH, help="Folder of the page; default: <workspace>/reports/<name of FILE>.")
@click.option("--samples", type=click.IntRange(min=1), default=6000, show_default=True, help="Samples on the map.")
@click.option("--no-tsne", is_flag=True, help="Leave the map out; FILE then needs no records.")
@click.option(
    "--export",
    "exports",
    callback=_exports,
    default="",
    metavar="LIST",
    help="Also write any of gltf,obj,spin,npy: one .glb, one .obj each, smpl_mean_params.npz, memory.npy (K, 157).",
)
@selects_records("train")
@click.pass_obj
def show_prototypes(
    console: Console,
    selection: Selection,
    file: Place | None,
    out: Path | None,
    samples: int,
    no_tsne: bool,
    exports: tuple[str, ...],
) -> None:
    """Show prototypes: turnable meshes, a gallery, a t-SNE map, the weighted parts; export them.

    FILE is a PrototypeSet (.safetensors); without it, the workspace's prototypes of the dataset, built if they are not
    there. Samples on the map come from --dataset or --records.
    """
    from hmrtk.cli.report import default_prototypes
    from hmrtk.reports.prototypes import MapSamples, show_prototypes
    from hmrtk.toolkit import pipeline
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
    from hmrtk.toolkit.records.artefact import provenance

    given = PrototypeSet.load(file) if file else None
    if given is not None and no_tsne:
        body, drawn = load_body(selection.body_path), None
        prototypes = given
    else:
        body, records, name = selection.load(console.workspace)
        prototypes = given or default_prototypes(console, selection, body, name, None)
        drawn = None if no_tsne else MapSamples(pipeline.with_bodies(records), samples, selection.seed)
    prototypes.check_body(body)
    out = out or console.workspace / "reports" / Path(prototypes.place).stem
    inputs = {"prototypes": prototypes.fingerprint, **({"records": drawn.records.fingerprint} if drawn else {})}
    config = {"samples": drawn.count if drawn else 0}
    made = provenance("show-prototypes", config, body.fingerprint, inputs, selection.seed)
    report = show_prototypes(prototypes, body, out, samples=drawn, provenance=made, progress=console.progress)
    written = [str(path) for name in exports for path in _EXPORTERS[name](prototypes, body, out)]
    figures = sorted(str(path) for path in (out / "figures").iterdir())
    console.result(
        {"out": str(out), "page": str(out / "index.html"), "figures": figures, "exports": written,
         "prototypes": report["prototypes"], "facts": report["facts"]},
        [*(f"{fact['value']:>16}  {fact['meaning']}" for fact in report["facts"]), *_listed(written),
         f"open {out / 'index.html'}"],
    )  # fmt: skip


def _listed(paths: list[str]) -> list[str]:
    """File names, long runs of them cut in the middle."""
    return paths if len(paths) <= 6 else [*paths[:2], f"… and {len(paths) - 4} more …", *paths[-2:]]


def _gltf(prototypes: PrototypeSet, body: BodyModel, out: Path) -> list[Path]:
    from hmrtk.toolkit.prototypes.export import write_glb

    write_glb(prototypes, body, out / "prototypes.glb")
    return [out / "prototypes.glb"]


def _obj(prototypes: PrototypeSet, body: BodyModel, out: Path) -> list[Path]:
    from hmrtk.toolkit.prototypes.export import write_obj_folder

    return write_obj_folder(prototypes, body, out / "obj")


def _spin(prototypes: PrototypeSet, _body: BodyModel, out: Path) -> list[Path]:
    from hmrtk.toolkit.prototypes.prototype_set import to_spin_mean_params

    to_spin_mean_params(prototypes, out / "smpl_mean_params.npz")
    return [out / "smpl_mean_params.npz"]


def _npy(prototypes: PrototypeSet, _body: BodyModel, out: Path) -> list[Path]:
    from hmrtk.toolkit.prototypes.export import write_memory

    write_memory(prototypes, out / "memory.npy")
    return [out / "memory.npy"]


_EXPORTERS: dict[str, Callable[[PrototypeSet, BodyModel, Path], list[Path]]] = {
    "gltf": _gltf,
    "obj": _obj,
    "spin": _spin,
    "npy": _npy,
}
