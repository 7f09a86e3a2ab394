"""``hmrtk atlas``: build, check and show how the body's surface is cut and laid out in UV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, body_option, json_option

if TYPE_CHECKING:
    from hmrtk.toolkit.maps.atlas_check import AtlasCheck
    from hmrtk.toolkit.maps.atlas_stretch import Stretch
    from hmrtk.toolkit.maps.obj_atlas import BuiltAtlas
    from hmrtk.toolkit.records.remote import Place

_FOUND_BY = {
    "numbers": "their numbers",
    "positions": "their positions",
    "first appearance": "merging those at one position",
    "face order": "the order of the faces",
}
"""``obj_match.MatchedMesh.how`` in words."""


@click.group()
def atlas() -> None:
    """Atlases: build one from an OBJ, check one, draw one.

    ATLAS is charts (the body's 24 charts), onepiece (the whole surface in one), or a file: an .npz of "atlas build",
    a Wavefront .obj, or DensePose's UV_Processed.mat.
    """


@atlas.command("build", short_help="Build an atlas from a Wavefront OBJ.")
@click.argument("file", type=PATH)
@click.option("--out", type=PLACE, help="Atlas file (.npz); default: <workspace>/atlases/<name>.npz.")
@click.option("--name", help="Name of the atlas; default: that of FILE.")
@click.option(
    "--charts",
    type=click.Choice(["one", "groups", "materials", "islands", "tiles"]),
    default="one",
    show_default=True,
    help="What makes a chart: everything, g/o, usemtl, pieces connected in UV, UDIM tiles.",
)
@click.option("--flip-v", is_flag=True, help="V counts downwards in FILE.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    default=0.1,
    show_default=True,
    help="Millimetres between a vertex of FILE and the body's.",
)
@click.option("--fill", is_flag=True, help="Scale every chart up to fill its unit square.")
@click.option("--partial", is_flag=True, help="Leave out faces that are not the body's; accept a body with holes.")
@body_option
@json_option
@click.pass_obj
def build(
    console: Console,
    file: Path,
    out: Place | None,
    name: str | None,
    charts: str,
    flip_v: bool,
    tolerance: float,
    fill: bool,
    partial: bool,
    body_path: Path | None,
) -> None:
    """Build an atlas from a Wavefront OBJ of the body with UV coordinates.

    FILE may have quads, renumbered or doubled vertices and another unit: the body's vertices are found again. Groups
    or materials that bear DensePose's chart names, or end in 1 to 24, get those numbers.
    """
    from dataclasses import asdict

    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.maps.atlas_check import check_atlas
    from hmrtk.toolkit.maps.atlas_file import write_atlas
    from hmrtk.toolkit.maps.obj_atlas import ObjConfig, build_atlas
    from hmrtk.toolkit.records.artefact import file_fingerprint, provenance

    body = load_body(body_path)
    config = ObjConfig(charts=charts, flip_v=flip_v, tolerance=tolerance / 1000, fill=fill, partial=partial)
    built = build_atlas(file, body.faces, body.v_template, config, name or "")
    out = out or console.workspace / "atlases" / f"{built.atlas.name}.npz"
    made = provenance("atlas build", asdict(config), body.fingerprint, {"obj": file_fingerprint(file)}, None)
    write_atlas(out, built.atlas, built.charts, body.faces, made, built.facts)
    problems = check_atlas(built.atlas, body, built.charts).problems
    value = {
        "out": str(out), "name": built.atlas.name, "charts": built.charts, "facts": built.facts, "problems": problems
    }  # fmt: skip
    console.result(
        value, [*_built_lines(built), *(f"cannot be used as it is: {problem}" for problem in problems), str(out)]
    )


@atlas.command("check", short_help="Measure an atlas; exit 1 when it cannot be used.")
@click.argument("choice", metavar="[ATLAS]", default="charts")
@click.option("--size", type=click.IntRange(2, 4096), default=128, show_default=True, help="Texels of a chart's side.")
@body_option
@json_option
@click.pass_obj
def check(console: Console, choice: str, size: int, body_path: Path | None) -> None:
    """Measure an atlas: overlap, folds, coverage, stretch, symmetry, seams; exit 1 when it cannot be used.

    It cannot be used when more than 5 % of a chart's texels lie in several faces, or more than 1 % of its faces are
    folded over, without area, or missing.
    """
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.maps.atlas_check import check_atlas
    from hmrtk.toolkit.maps.atlas_choice import named_atlas

    body = load_body(body_path)
    named = named_atlas(choice, body)
    found = check_atlas(named.atlas, body, named.charts, size)
    console.result(found.summary(), check_lines(found))
    if not found.ok:
        raise SystemExit(1)


@atlas.command("show", short_help="Draw the body and every chart.")
@click.argument("choice", metavar="[ATLAS]", default="charts")
@click.option("--out", type=PLACE, help="Picture (.png); default: <workspace>/atlases/<name>.png.")
@body_option
@json_option
@click.pass_obj
def show(console: Console, choice: str, out: Place | None, body_path: Path | None) -> None:
    """Draw an atlas: the body and every chart, coloured by chart, U and V, with the seams."""
    import io

    from PIL import Image

    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.maps.atlas_choice import named_atlas
    from hmrtk.toolkit.records.artefact import write_bytes
    from hmrtk.toolkit.synthesis.atlas_picture import draw_atlas

    body = load_body(body_path)
    named = named_atlas(choice, body)
    picture = draw_atlas(named.atlas, body, named.charts)
    out = out or console.workspace / "atlases" / f"{named.atlas.name}.png"
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    write_bytes(out, stream.getvalue())
    value = {"out": str(out), "name": named.atlas.name, "charts": named.charts, "size": list(picture.shape[:2])}
    console.result(value, [f"look at {out}"])


def _built_lines(built: BuiltAtlas) -> list[str]:
    """What was read, in words."""
    facts = built.facts
    unit = f", 1 unit = {facts['unit_m']:g} m" if facts["unit_m"] != 1 else ""
    lines = [
        f"{facts['faces']} faces in {facts['polygons']} polygons, {facts['corners']} corners, "
        f"{len(built.charts)} chart{'s' if len(built.charts) > 1 else ''}",
        f"the body's vertices were found by {_FOUND_BY[facts['matched_by']]} "
        f"({facts['file_vertices']} in the file{unit})",
    ]
    if facts["faces_missing"]:
        first = ", ".join(str(face) for face in facts["faces_missing_first"])
        lines.append(f"{facts['faces_missing']} faces of the body have no UV (faces {first}, …)")
    if facts["faces_left_out"]:
        lines.append(f"{facts['faces_left_out']} faces of the file left out")
    lines += [f"chart {number} was moved here from tile {tile}" for number, tile in facts["charts_moved"].items()]
    if len(built.charts) > 1:
        lines += [f"  chart {number:2d}  {name}" for number, name in built.charts.items()]
    return lines


_COLUMNS = (
    f"{'chart':<27}  faces  covered  overlap  folded  flat  no texel  {'L2':>5}  {'L∞':>5}  mm/texel (worst)  aniso"
)


def check_lines(found: AtlasCheck) -> list[str]:
    """A finished ``atlas check`` in words: a table of the charts, then the whole."""
    lines = [f"atlas {found.name} at {found.size} texels a side", _COLUMNS]
    for chart in found.charts:
        lines.append(
            f"{chart.chart:2d} {chart.name[:24]:<24} {chart.faces:6d}  {chart.covered:7.1%}  {chart.overlap:7.2%}  "
            f"{chart.folded:6d}  {chart.flat:4d}  {chart.without_texel:8d}  {_stretch(chart.stretch, found.size)}"
        )
    if len(found.charts) > 1:
        lines.append(f"{'all':<27} {found.faces:6d}{'':44}{_stretch(found.stretch, found.size)}")
    symmetry = found.symmetry
    deviation = (
        "no face has its mirror image" if symmetry.deviation is None else f"U, V deviate {symmetry.deviation:.2g}"
    )
    lines += [
        f"{found.corners} corners, {found.islands} pieces, {found.seams} seam edges of {found.seams_m:.2f} m, "
        f"{found.missing} faces of the body missing",
        f"symmetry: {deviation} at most; {symmetry.compared:.1%} of the faces compared, "
        f"{symmetry.other_charts} in other charts, {symmetry.lonely_seams} seams without their mirror image",
    ]
    if found.read_back_mm:
        groups = ", ".join(
            f"{name} {mm:.1f}" for name, mm in found.read_back_mm.items() if name not in ("mean", "largest")
        )
        lines.append(
            f"vertices read back from a location map: {found.read_back_mm['mean']:.2f} mm off on average, "
            f"{found.read_back_mm['largest']:.0f} mm at most ({groups})"
        )
    lines += [f"cannot be used: {problem}" for problem in found.problems]
    return [*lines, "can be used"] if found.ok else lines


def _stretch(stretch: Stretch | None, size: int) -> str:
    """The last columns of the table."""
    if stretch is None:
        return f"{'-':>5}  {'-':>5}  {'-':>16}  {'-':>5}"
    worst = f"({_short(1000 * stretch.largest_metres_per_unit / size)})"
    mean = f"{1000 * stretch.metres_per_unit / size:.2f}"
    return f"{stretch.l2:5.2f}  {_short(stretch.largest):>5}  {mean:>8} {worst:>7}  {stretch.anisotropy:5.2f}"


def _short(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
