"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.records.table import RecordTable


class LocalPath(click.Path):
    """A path on this machine; a URL is refused, where ``Path`` would make ``s3:/bucket`` of ``s3://bucket``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "://" in value:
            self.fail(f"{value!r} is a URL; only local paths are possible here", param, ctx)
        return super().convert(value, param, ctx)


class AnyPlace(click.Path):
    """A path on this machine, or a URL of an object store (``records.remote.RemotePath``)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "://" in value:
            from hmrtk.toolkit.records.remote import located

            return located(value)
        return super().convert(value, param, ctx)


PATH = LocalPath(path_type=Path)
PLACE = AnyPlace(path_type=Path)


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

engine_option = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Work here, or on a Ray cluster (RAY_ADDRESS, else one that is started for the run).",
)

data_options = stack(
    body_option,
    click.option("--limit", type=click.IntRange(min=1), help="Use at most N rows."),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random choices."
    ),
    json_option,
)


@dataclass(frozen=True)
class Selection:
    """Which records a command works on: the values of ``selects_records``."""

    dataset: str
    record_paths: tuple[Place, ...]
    split: str
    body_path: Path | None
    limit: int | None
    seed: int

    def load(self, workspace: Path, left_out: list[str] | None = None) -> tuple[BodyModel, RecordTable, str]:
        """The active body, the records, and the name of their dataset; ``left_out`` as in ``pipeline.load_records``."""
        from hmrtk.toolkit import pipeline
        from hmrtk.toolkit.body.model import load_body

        body = load_body(self.body_path)
        choice = (self.dataset, self.record_paths, self.split, self.limit)
        records = pipeline.load_records(body, workspace, *choice, left_out)
        return body, records, pipeline.dataset_name(records)


def selects_records(split: str) -> Callable[[Any], Any]:
    """``--dataset``, ``--records``, ``--split`` and the data options, handed over as one ``selection``.

    Args:
        split: the default split.
    """
    options = stack(
        click.option("--dataset", default="embedded", show_default=True, help="Name of a dataset."),
        click.option(
            "--records",
            "record_paths",
            type=PLACE,
            multiple=True,
            metavar="PATH",
            help="Record table(s) instead: a file, or a folder with <split>.parquet; may be repeated.",
        ),
        click.option(
            "--split",
            default=split,
            show_default=True,
            help="Which split to use: train, val, test, another of the dataset's, or all.",
        ),
        data_options,
    )

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def call(*arguments: Any, **values: Any) -> Any:
            selection = Selection(**{field.name: values.pop(field.name) for field in fields(Selection)})
            return function(*arguments, selection=selection, **values)

        return options(call)

    return decorate


def chosen(**options: Any) -> dict[str, Any]:
    """The options that were given: those that are not None."""
    return {name: value for name, value in options.items() if value is not None}
