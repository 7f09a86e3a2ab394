"""The ``hmrtk`` command: global options, the list of commands, and the one place where errors become exit codes.

Commands live in their own modules and are imported when called, so ``hmrtk --help`` needs neither torch nor numba.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import click

from hmrtk.toolkit.errors import HmrtkError

COMMANDS = {
    "quickstart": (
        "hmrtk.cli.quickstart:quickstart",
        "Run the whole path on the embedded data, to two networks and a report.",
    ),
    "doctor": ("hmrtk.cli.doctor:doctor", "Tell what is installed, found and missing."),
    "datasets": ("hmrtk.cli.datasets:datasets", "List, show, download and verify the datasets hmrtk knows."),
    "ingest": ("hmrtk.cli.data:ingest", "Read raw files into record tables."),
    "build-prototypes": ("hmrtk.cli.data:build_prototypes", "Cluster bodies into prototypes (P3DH K-Means)."),
    "sweep-prototypes": (
        "hmrtk.cli.sweep:sweep_prototypes",
        "Choose K and part weights: cluster with several of each.",
    ),
    "show-prototypes": (
        "hmrtk.cli.prototypes:show_prototypes",
        "Show prototypes: turnable meshes, t-SNE map, parts; export them.",
    ),
    "render-iuv": ("hmrtk.cli.maps:render_iuv", "Render IUV maps and a contact sheet."),
    "show-maps": (
        "hmrtk.cli.maps:show_maps",
        "Draw all maps of a few records: IUV, partial IUV, dense and UV-space maps.",
    ),
    "atlas": ("hmrtk.cli.atlas:atlas", "Build, check and draw UV atlases of the body."),
    "build-shards": ("hmrtk.cli.data:build_shards", "Write training shards: pictures, maps, labels."),
    "verify-shards": ("hmrtk.cli.data:verify_shards", "Check shards for damage."),
    "shards": ("hmrtk.cli.shards:shards", "Look at shards: count what they hold, draw rows."),
    "train": ("hmrtk.cli.train:train", "Train a network from shards: hmr, pmnet."),
    "predict": ("hmrtk.cli.predict:predict", "Predict bodies for shards or a photograph."),
    "import-predictions": ("hmrtk.cli.importing:import_predictions", "Read other systems' results as predictions."),
    "evaluate": ("hmrtk.cli.evaluation:evaluate", "Score predictions against records."),
    "tail-report": ("hmrtk.cli.report:tail_report", "Report what happens on rare poses (T-x%)."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps, and imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hmrtk", prog_name="hmrtk")
@click.option("-v", "--verbose", is_flag=True, help="More messages, and tracebacks when something fails.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default="hmrtk-workspace",
    envvar="HMRTK_WORKSPACE",
    show_default=True,
    show_envvar=True,
    help="Folder for everything that is written without an explicit --out.",
)
@click.pass_context
def hmrtk(ctx: click.Context, verbose: bool, quiet: bool, as_json: bool, workspace: Path) -> None:
    """Data, P3DH prototypes and tail analysis for single-image human mesh recovery.

    Every command works with no other flag on the small dataset named "embedded". Start with: hmrtk quickstart
    """
    from hmrtk.cli.console import Console

    ctx.obj = Console(verbose=verbose, quiet=quiet, as_json=as_json, workspace=workspace)


def main(argv: list[str] | None = None) -> None:
    """Entry point of the ``hmrtk`` script: run a command and leave with its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    _provide_kernel_cache()
    verbose = any(a in ("-v", "--verbose") for a in arguments)
    try:
        code = hmrtk.main(arguments, prog_name="hmrtk", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hmrtk: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if verbose:
            traceback.print_exc()
        click.echo(f"hmrtk: error: {_one_line(error)}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _provide_kernel_cache() -> None:
    """Give numba a place for compiled kernels where its own (the package, then the user's cache) cannot be written."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    package = Path(__file__).parent
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    existing = next(folder for folder in (user, *user.parents) if folder.exists())
    if not os.access(package, os.W_OK) and not os.access(existing, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"hmrtk-kernels-{os.getuid()}")


def _one_line(error: Exception) -> str:
    if isinstance(error, HmrtkError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOENT):
        return f"{error.filename or 'a file'}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "not enough memory (try --limit N)"
    text: Any = str(error).strip().splitlines()
    return f"internal error: {type(error).__name__}: {text[0] if text else ''} (run with -v and report it)"
