"""``datasets``: what hmrtk knows of each data set, getting those that are free, and whether a copy here is whole."""

from __future__ import annotations

from pathlib import Path

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, body_option, json_option


@click.group()
def datasets() -> None:
    """The datasets hmrtk knows: what they are, where they come from, how they lie on disk."""


@datasets.command("list")
@json_option
@click.pass_obj
def datasets_list(console: Console) -> None:
    """One line per dataset."""
    from hmrtk.toolkit.records.manifest import load_manifest, manifest_names

    manifests = [load_manifest(name) for name in manifest_names()]
    width = max(len(m.name) for m in manifests)
    console.result(
        {"datasets": [m.model_dump(mode="json") for m in manifests]},
        [f"{m.name:<{width}}  {m.title}" for m in manifests],
    )


@datasets.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def datasets_show(console: Console, name: str) -> None:
    """Everything known about one dataset: licence, how to get it, layout, splits, protocol, options of ingest."""
    from hmrtk.toolkit.records.manifest import load_manifest
    from hmrtk.toolkit.sources.registry import is_readable, reader_options

    manifest = load_manifest(name)
    known = {fmt: reader_options(name, fmt) for fmt in manifest.formats if is_readable(name, fmt)}
    lines, values = [], {}
    for fmt, options in known.items():
        if options:
            lines += [f"Options of format {fmt} (ingest --option NAME=VALUE):"]
            lines += [f"  {option.line()}" for option in options.values()]
            values[fmt] = {o.name: {"default": o.default, "meaning": o.meaning} for o in options.values()}
    console.result({**manifest.model_dump(mode="json"), "options": values}, [*manifest.page(), *lines])


@datasets.command("download")
@click.argument("name")
@click.option("--out", type=PATH, help="Folder for the files; default: <workspace>/raw/<name>.")
@click.option("--part", "parts", multiple=True, help="Only this part (several times for several); see datasets show.")
@click.option("--unpack/--no-unpack", default=True, show_default=True, help="Unpack archives.")
@click.option("--remove-archives", is_flag=True, help="Remove each archive once all its files are unpacked.")
@json_option
@click.pass_obj
def datasets_download(
    console: Console, name: str, out: Path | None, parts: tuple[str, ...], unpack: bool, remove_archives: bool
) -> None:
    """Get a dataset that may be had without registration; for the others, print the page and the steps.

    Killed, cut off, disk full? Run it again: it goes on where it stopped. What is there and right is left alone.
    """
    from hmrtk.toolkit.dataset_download import chosen, download_dataset, lines, summary
    from hmrtk.toolkit.records.manifest import load_manifest

    manifest = load_manifest(name)
    folder, downloads = out or console.workspace / "raw" / name, chosen(manifest, parts)
    if downloads:
        console.say(f"{manifest.title}. Licence: {manifest.licence}")
    for licence in dict.fromkeys(download.licence for download in downloads if download.licence):
        console.say(f"Licence of some of these files: {licence}")
    obtained = []
    if downloads:
        obtained = download_dataset(
            downloads, folder, unpacked=unpack, keep=not remove_archives, progress=console.progress
        )
    console.result(summary(manifest, folder, obtained), lines(manifest, folder, obtained))


@datasets.command("verify")
@click.argument("name")
@click.option("--root", type=PATH, help="Folder of the raw data, as for ingest.")
@click.option("--format", "fmt", help="Which of the dataset's formats, where it comes in several.")
@click.option("--quick", is_flag=True, help="Names, numbers, sizes and ends of files only.")
@body_option
@json_option
@click.pass_obj
def datasets_verify(
    console: Console, name: str, root: Path | None, fmt: str | None, quick: bool, body_path: Path | None
) -> None:
    """Check a copy on this machine: are all files there, can they be read, are the rows as many as they should be?

    Everything is read as ingest would read it, and nothing is written. Exit 1 on any difference.
    """
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.dataset_check import verify_dataset

    body = None if quick else load_body(body_path)
    report = verify_dataset(name, fmt, root, body, console.progress, quick=quick)
    console.result(report.summary(), report.lines())
    if not report.ok:
        raise SystemExit(1)
