"""Commands that make maps of bodies and show them: ``render-iuv`` and ``show-maps``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PLACE, Selection, selects_records
from hmrtk.toolkit.wording import counted

if TYPE_CHECKING:
    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.shards.iuv_builder import IUVRun


atlas_option = click.option(
    "--atlas",
    default="charts",
    show_default=True,
    metavar="[charts|onepiece|FILE]",
    help="The body's 24 charts, its one-piece atlas, or UV_Processed.mat, an OBJ with UVs, an atlas file.",
)

images_option = click.option("--images", type=PLACE, help="Folder, archive or video that image_path is relative to.")


@click.command("render-iuv")
@click.option("--size", type=click.IntRange(min=8, max=2048), default=56, show_default=True, help="Map size in px.")
@click.option(
    "--texture",
    type=click.Choice(["vertex", "face"]),
    default="vertex",
    show_default=True,
    help="U, V interpolated inside each face (PyMAF) or constant per face (DaNet).",
)
@atlas_option
@click.option(
    "--camera",
    type=click.Choice(["crop", "full", "auto"]),
    default="crop",
    show_default=True,
    help="The papers' crop camera (focal length 5000 px), the record's intrinsics, or those where it has them.",
)
@click.option(
    "--view",
    type=click.Choice(["crop", "image"]),
    default="crop",
    show_default=True,
    help="One map per person over their crop, or one per image with everybody in depth order (DensePose's PNG files).",
)
@click.option("--others", is_flag=True, help="In crops, let other people of the same image hide what is behind them.")
@images_option
@click.option("--out", type=PLACE, help="Folder of the maps; default: <workspace>/iuv/<dataset>-<split>.")
@click.option("--preview", type=click.IntRange(min=0), default=48, show_default=True, help="Maps on the contact sheet.")
@selects_records("train")
@click.pass_obj
def render_iuv(
    console: Console,
    selection: Selection,
    size: int,
    texture: str,
    atlas: str,
    camera: str,
    view: str,
    others: bool,
    images: Place | None,
    out: Place | None,
    preview: int,
) -> None:
    """Render IUV maps of every record, and a contact sheet to look at. Killed? Run it again: it goes on.

    With --images the sheet shows the maps laid over the photographs.
    """
    from hmrtk.toolkit.shards import iuv_builder

    config = iuv_builder.IUVConfig(size, texture, atlas, camera, others, preview, selection.seed)
    body, records, name = selection.load(console.workspace)
    folder = f"{name}-{selection.split}" + ("-images" if view == "image" else "")
    build = iuv_builder.build_iuv_set if view == "crop" else iuv_builder.build_iuv_images
    run = build(records, body, config, out or console.workspace / "iuv" / folder, images, console.progress)
    console.result(run.summary(), iuv_lines(run))


def iuv_lines(run: IUVRun) -> list[str]:
    """A finished ``render-iuv`` in words."""
    lines = [f"IUV maps of {counted(run.rows, 'person', 'people')} in {run.out}"]
    if run.made < run.rows:
        lines.append(f"{run.rows - run.made} of them were there already")
    if run.left_out:
        lines.append(f"{counted(run.left_out, 'row')} left out: no body, or too few joints to solve a camera")
    return [*lines, f"look at {run.preview}"] if run.preview else lines


@click.command("show-maps")
@click.option(
    "--rows", "count", type=click.IntRange(min=1), default=4, show_default=True, help="Records, drawn by seed."
)
@click.option("--sample", "samples", multiple=True, metavar="ID", help="This sample_id instead; may be repeated.")
@click.option(
    "--joint-set",
    type=click.Choice(["lsp14", "smpl24"]),
    default="lsp14",
    show_default=True,
    help="Joints of the part assignment: the 14 of Best of Both, or the 24 of its ablation.",
)
@images_option
@click.option("--out", type=PLACE, help="Folder of the sheets; default: <workspace>/maps/<dataset>-<split>.")
@selects_records("train")
@click.pass_obj
def show_maps(
    console: Console,
    selection: Selection,
    count: int,
    samples: tuple[str, ...],
    joint_set: str,
    images: Place | None,
    out: Place | None,
) -> None:
    """Draw all maps of a few records, one sheet each: IUV, partial IUV, dense maps, maps in UV space.

    Without --images the pictures are synthesised.
    """
    from hmrtk.toolkit.shards.iuv_images import image_name
    from hmrtk.toolkit.shards.panels import MapPanels, chosen_rows
    from hmrtk.toolkit.synthesis.picture import write_png

    body, records, name = selection.load(console.workspace)
    out = out or console.workspace / "maps" / f"{name}-{selection.split}"
    chosen = chosen_rows(records, samples, count, selection.seed)
    panels, sheets = MapPanels(body, images, joint_set, selection.seed), []
    for number, (sample_id, sheet) in enumerate(panels.draw(chosen), start=1):
        sheets.append(str(out / f"{image_name(None, sample_id)}.png"))
        write_png(out / f"{image_name(None, sample_id)}.png", sheet)
        console.progress("map sheets", number, len(chosen))
    console.result({"out": str(out), "sheets": sheets}, [f"look at {sheet}" for sheet in sheets])
