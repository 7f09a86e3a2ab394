"""``import-predictions``: another system's result files as a predictions table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, Selection, chosen, selects_records

if TYPE_CHECKING:
    from hmrtk.toolkit.records.remote import Place


@click.command("import-predictions")
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format",
    "fmt",
    required=True,
    metavar="NAME",
    help="spin_npz (also DaNet, PyMAF eval.py), vibe_pkl, pymaf_pkl, cliff_npz, hybrik_pk, eft_pkl, wham_pkl, "
    "gvhmr_pt or humandata_npz.",
)
@click.option("--name", metavar="SYSTEM", help="The system's name in tables; default: the format's.")
@click.option(
    "--match",
    type=click.Choice(["auto", "id", "image", "order"]),
    default="auto",
    show_default=True,
    help="What says which record a result is of: its sample_id, its picture (or frame) and box, or its row. auto takes "
    "the first that the file makes possible.",
)
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="Records without a result: stop, or go on without them and write the others beside --out.",
)
@click.option(
    "--min-iou",
    type=click.FloatRange(0, 1, min_open=True),
    help="People whose boxes (as squares) overlap less are not the same. [0.3]",
)
@click.option("--sequence", metavar="NAME", help="Video of the results; default: the part of FILE's path that is one.")
@click.option("--first-frame", type=int, help="Number that the records give to the video's first frame. [0]")
@click.option(
    "--expansion",
    type=click.FloatRange(0, min_open=True),
    help="Side of the system's crops over the records' boxes, for spin_npz. [1.2; SPIN's own file of Human3.6M: 0.9]",
)
@click.option("--out", type=PLACE, required=True, help="Predictions table (.parquet) to write.")
@selects_records("test")
@click.pass_obj
def import_predictions(
    console: Console,
    selection: Selection,
    files: tuple[Path, ...],
    fmt: str,
    name: str | None,
    match: Literal["auto", "id", "image", "order"],
    missing: Literal["refuse", "drop"],
    min_iou: float | None,
    sequence: str | None,
    first_frame: int | None,
    expansion: float | None,
    out: Place,
) -> None:
    """Read other systems' result FILEs as predictions for records, for evaluate and tail-report.

    Nothing in a file is run. What does not fit is listed: records without a result, results without a record.
    """
    from hmrtk.toolkit.evaluation.importers import imported
    from hmrtk.toolkit.evaluation.importers.registry import result_format
    from hmrtk.toolkit.records.artefact import require_writable

    result_format(fmt)
    config = imported.ImportConfig(
        fmt,
        name,
        match,
        missing,
        **chosen(min_iou=min_iou, sequence=sequence, first_frame=first_frame, expansion=expansion),
    )
    body, records, _ = selection.load(console.workspace)
    require_writable(out)
    done = imported.import_predictions(files, records, body, config, console.progress)
    done.predictions.write(out)
    value: dict[str, Any] = {**done.report, "out": str(out)}
    lines = imported.report_lines(done.report)
    if len(done.records) < len(records):
        subset = out.with_suffix(f".records{out.suffix}")
        done.records.write(subset)
        value["records_out"] = str(subset)
        lines.append(f"{subset}: the {len(done.records)} records that have one; pass it to evaluate as --records")
    console.result(value, [*lines, str(out)])
