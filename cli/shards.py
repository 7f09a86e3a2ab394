"""``hmrtk shards``: what finished shards hold, as numbers and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PLACE, body_option, json_option
from hmrtk.toolkit.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.shards.row_counts import Counts
    from hmrtk.toolkit.shards.row_panels import RowPanels
    from hmrtk.toolkit.shards.statistics import ShardStatistics
    from hmrtk.toolkit.shards.throughput import Throughput

ROWS = 8
"""Rows that are shown when none is named."""
TABLE_WIDTH = 140


@click.group()
def shards() -> None:
    """Look at finished shards: count what they hold, draw rows."""


@shards.command("stats", short_help="Count what shards hold; measure reading.")
@click.argument("directory", type=PLACE, required=False)
@click.option("--split", help="Only this split.")
@click.option(
    "--tail",
    type=click.FloatRange(min=0, max=100, min_open=True),
    default=10,
    show_default=True,
    help="The x of T-x%: the share of rows farthest from the singular prototype.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=2,
    show_default=True,
    help="How long to measure reading, once for lean and once for all columns; 0 leaves it out.",
)
@json_option
@click.pass_obj
def stats(console: Console, directory: Place | None, split: str | None, tail: float, seconds: float) -> None:
    """Count what shards hold: rows, bodies, pictures, the tail, labels, bytes of each column; measure reading.

    Shares are of the rows. Pictures and maps are not read, except for the measurement, whose result is this machine's,
    now.
    """
    from hmrtk.toolkit.shards.statistics import shard_statistics

    found = shard_statistics(directory or console.workspace / "shards" / "embedded", split, tail, console.progress)
    measured = _measured(found, seconds, split) if seconds else []
    console.result(found.summary() | {"throughput": [one.summary() for one in measured]}, stats_lines(found, measured))


@shards.command("show", short_help="Draw rows: picture, keypoints, body, maps.")
@click.argument("directory", type=PLACE, required=False)
@click.option("--row", "numbers", type=click.IntRange(min=0), multiple=True, help="A row's number; may be repeated.")
@click.option("--sample-id", "samples", multiple=True, metavar="ID", help="A row by its sample_id; may be repeated.")
@click.option("--rows", "count", type=click.IntRange(min=1), help=f"So many rows, spread evenly. [{ROWS}]")
@click.option("--split", help="Count rows in this split alone; default: in all, in the order of the files.")
@click.option("--augment", "seed", type=click.IntRange(min=0), metavar="SEED", help="Show the rows after augmentation.")
@click.option(
    "--augmentation",
    "preset",
    help="Which: none (the plain crop), spin, pymaf, decomr, cliff or best_of_both. [spin]",
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
    preset: str | None,
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
    if preset is not None and seed is None:
        seed = 0
    change = augmentation(preset or "spin") if seed is not None else None
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


def _measured(found: ShardStatistics, seconds: float, split: str | None) -> list[Throughput]:
    from hmrtk.toolkit.shards.throughput import LEAN, sample_throughput

    root, sizes = found.index.root, found.bytes_per_row()
    choices = {"a network without maps": LEAN, "all columns": None}
    return [sample_throughput(root, what, columns, sizes, seconds, split) for what, columns in choices.items()]


def stats_lines(found: ShardStatistics, measured: list[Throughput]) -> list[str]:
    """A finished ``shards stats`` in words."""
    sizes, files = found.row_groups, [entry.bytes for entry in found.entries]
    groups = f"{sizes.min()} to {sizes.max()} rows" if sizes.min() < sizes.max() else f"{sizes.max()} rows"
    lines = [
        f"{found.index.root}: {counted(found.total.rows, 'row')}, {sum(files) / 1e6:.1f} MB in "
        f"{counted(len(files), 'shard')} (largest {max(files) / 1e6:.1f} MB), "
        f"{counted(len(sizes), 'row group')} of {groups}",
        *_printed(_rows_table(found)),
        *_tail_lines(found),
        *_label_lines(found),
        *_printed(_bytes_table(found)),
    ]
    if measured:
        lines.append(f"read here and now, {counted(measured[0].threads, 'thread')}, shuffled, decoded, in batches:")
    for one in measured:
        lines.append(
            f"  {one.what}: {one.rows_per_second:.0f} rows/s, {one.megabytes_per_second:.1f} MB/s as stored "
            f"({one.rows} rows in {one.seconds:.1f} s)"
        )
    return lines


def _rows_table(found: ShardStatistics) -> Table:
    """One line per data set and split."""
    from rich.table import Table

    from hmrtk.toolkit.shards.row_counts import SHARES

    heads = ("body", "photo", "synth.", "crop cam.", "2D", "3D", "conf.", "tail", "gender")
    table = Table("data set", "split", "rows", *heads)
    for column in table.columns[2:-1]:
        column.justify = "right"

    def add(dataset: str, split: str, counts: Counts) -> None:
        shares = [_percent(counts.share(name)) for name in SHARES]
        confidence = "" if counts.mean_confidence is None else f"{counts.mean_confidence:.2f}"
        tail = f"{counts.tail / counts.rows:.1%}" if found.tail else ""
        genders = ", ".join(f"{name} {n / counts.rows:.0%}" for name, n in counts.genders.most_common())
        table.add_row(dataset, split, str(counts.rows), *shares, confidence, tail, genders)

    for (dataset, split), counts in found.groups.items():
        add(dataset, split, counts)
    if len(found.groups) > 1:
        table.add_section()
        add("all", "", found.total)
    return table


def _percent(share: float) -> str:
    """A share; 100 % and 0 % mean all and none."""
    return f"{share:.0%}" if 0.005 <= share <= 0.995 or share in (0, 1) else f"{share:.3%}"


def _tail_lines(found: ShardStatistics) -> list[str]:
    tail = found.tail
    if tail is None:
        return ["no distances to the singular prototype, so no tail: build with --prototypes"]
    named = {0: "least", 50: "median", 100: "greatest"}
    spread = ", ".join(f"{named.get(k, f'{k} %')} {1000 * v:.0f}" for k, v in tail.quantiles.items())
    unmeasured = found.total.rows - tail.measured
    without = f"; {counted(unmeasured, 'row')} without a distance" if unmeasured else ""
    return [
        f"T-{tail.percent:g} %: {counted(tail.rows, 'row')}, from {1000 * tail.threshold:.0f} mm to the singular "
        f"prototype{without}",
        f"  distances, mm: {spread}",
    ]


def _label_lines(found: ShardStatistics) -> list[str]:
    from hmrtk.toolkit.shards.statistics import NAMED

    ranked, empty = found.ranked_labels(), found.empty_labels()
    if not ranked:
        return ["no labels"]

    def named(labels: list[tuple[int, int]]) -> str:
        return ", ".join(f"{label} ({rows})" for label, rows in labels)

    smallest = ranked[max(NAMED, len(ranked) - NAMED) :][::-1]
    least = f"; least {named(smallest)}" if smallest else ""
    first = ", ".join(map(str, empty[:NAMED])) + (", …" if len(empty) > NAMED else "")
    none = f"; {counted(len(empty), 'label')} of no row ({first})" if empty else ""
    return [f"labels 0 … {len(found.labels) - 1}, prototype (rows): most {named(ranked[:NAMED])}{least}{none}"]


def _bytes_table(found: ShardStatistics) -> Table:
    """Where the bytes of a row are: the largest columns, and the others together."""
    from rich.table import Table

    sizes = sorted(found.bytes_per_row().items(), key=lambda item: -item[1])
    whole = sum(size for _, size in sizes)
    shown = [(name, size) for name, size in sizes if size >= 0.005 * whole]
    rest = sizes[len(shown) :]
    table = Table("column", "bytes a row", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    if rest:
        shown.append((f"{len(rest)} others", sum(size for _, size in rest)))
    for name, size in shown:
        table.add_row(name, f"{size:.0f}", f"{size / max(whole, 1):.1%}")
    table.add_section()
    table.add_row("all", f"{whole:.0f}", "")
    return table


def _printed(table: Table) -> list[str]:
    """A table as lines of text."""
    import io

    from rich import box
    from rich.console import Console as RichConsole

    table.box, table.pad_edge = box.SIMPLE_HEAD, False
    stream = io.StringIO()
    RichConsole(file=stream, width=TABLE_WIDTH, color_system=None).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]
