"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hmrtk.cli.console import Console

PATH = click.Path(path_type=Path)
SPLIT = click.Choice(["train", "val", "test", "all"])


def stack(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several decorators as one, listed in the order of ``--help``."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _json_chosen(ctx: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    console = ctx.find_object(Console)
    if console is not None and value:
        console.as_json = True
    return value


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_json_chosen,
    help="Print the result as one JSON object.",
)

body_option = click.option(
    "--body",
    "body_path",
    type=PATH,
    envvar="HMRTK_BODY",
    show_envvar=True,
    help="SMPL-format file or folder (.pkl, .npz, smplx layout); default: the embedded reference body.",
)

common_options = stack(
    body_option,
    click.option("--limit", type=click.IntRange(min=1), help="Use at most N rows."),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of every random choice."
    ),
    json_option,
)


def record_options(split: str) -> Callable[[Any], Any]:
    """``--dataset``, ``--records`` and ``--split`` with its default."""
    return stack(
        click.option(
            "--dataset", default="embedded", show_default=True, help="A dataset by name (hmrtk datasets list)."
        ),
        click.option(
            "--records",
            "record_paths",
            type=PATH,
            multiple=True,
            metavar="PATH",
            help="Record table(s) instead: a file, or a folder with <split>.parquet; may be repeated.",
        ),
        click.option("--split", type=SPLIT, default=split, show_default=True, help="Which split to use."),
    )


def chosen(**options: Any) -> dict[str, Any]:
    """The options that were given: those that are not None."""
    return {name: value for name, value in options.items() if value is not None}
