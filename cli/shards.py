"""``hmrtk shards``: look at finished shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PLACE, body_option, json_option
from hmrtk.toolkit.wording import counted

if TYPE_CHECKING:
    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.shards.row_panels import RowPanels

ROWS = 8
"""Rows that are shown when none is named."""


@click.group()
def shards() -> None:
    """Look at shards: draw rows."""


@shards.command("show")
@click.argument("directory", type=PLACE, required=False)
@click.option("--row", "numbers", type=click.IntRange(min=0), multiple=True, help="A row's number; may be repeated.")
@click.option("--sample-id", "samples", multiple=True, metavar="ID", help="A row by its sample_id; may be repeated.")
@click.option("--rows", "count", type=click.IntRange(min=1), help=f"So many rows, spread evenly. [{ROWS}]")
@click.option("--split", help="Count rows in this split alone; default: in all, in the order of the files.")
@click.option("--augment", "seed", type=click.IntRange(min=0), metavar="SEED", help="Show the rows after augmentation.")
@click.option(
    "--augmentation",
    "preset",
    default="spin",
    show_default=True,
    help="Which: none (the plain crop), spin, pymaf, decomr, cliff or best_of_both.",
)
@click.option("--out", type=PLACE, help="Picture (.png or .jpg); default: <workspace>/rows/<name of the folder>.png.")
@body_option
@json_option
@click.pass_obj
def show(
    console: Console,
    directory: Place | None,
    numbers: tuple[int, ...],
    samples: tuple[str, ...],
    count: int | None,
    split: str | None,
    seed: int | None,
    preset: str,
    out: Place | None,
    body_path: Path | None,
) -> None:
    """Draw rows of shards: picture, keypoints, body, IUV map, UV-space maps, parts seen.

    The body is posed from the row's own parameters and seen by its own camera, so what lies beside the person is wrong
    in the row. The person's left is orange, their right blue.
    """
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.records.artefact import write_bytes
    from hmrtk.toolkit.shards.augmentation import augmentation
    from hmrtk.toolkit.shards.codec import encode_jpeg
    from hmrtk.toolkit.shards.row_panels import RowPanels
    from hmrtk.toolkit.synthesis.picture import encode_png

    directory = directory or console.workspace / "shards" / "embedded"
    change = augmentation(preset) if seed is not None else None
    panels = RowPanels(directory, load_body(body_path), split)
    rows = _chosen_rows(panels, numbers, samples, count)
    out = out or console.workspace / "rows" / f"{_picture_name(directory, split, rows, seed)}.png"
    sheet = panels.sheet(rows, change, seed or 0)
    encode = encode_jpeg if out.suffix.lower() in (".jpg", ".jpeg") else encode_png
    write_bytes(out, encode(sheet))
    value = {"out": str(out), "rows": rows, "size": list(sheet.shape[:2]), "augmented": seed is not None}
    console.result(value, [f"look at {out} ({counted(len(rows), 'row')})"])


def _chosen_rows(panels: RowPanels, numbers: tuple[int, ...], samples: tuple[str, ...], count: int | None) -> list[int]:
    """The rows that were named, else so many of all."""
    named = [*numbers, *(panels.number(name) for name in samples)]
    spread = panels.spread(count or ROWS) if count or not named else []
    return list(dict.fromkeys([*named, *spread]))


def _picture_name(directory: Place, split: str | None, rows: list[int], seed: int | None) -> str:
    """A file name that tells what is drawn."""
    parts = [directory.name or "shards", split or ""]
    parts += [f"row-{rows[0]}" if len(rows) == 1 else "rows", f"augmented-{seed}" if seed is not None else ""]
    return "-".join(part for part in parts if part)
