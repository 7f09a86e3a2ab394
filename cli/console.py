"""What commands say to people and programs: progress and messages on stderr, the result on stdout.

A result is a plain dict. With ``--json`` it is printed as one JSON object and nothing else goes to stdout.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click


@dataclass
class Console:
    """The choices of one run and its ways of speaking. ``progress`` fits ``hmrtk.toolkit.progress.Progress``."""

    verbose: bool = False
    quiet: bool = False
    as_json: bool = False
    workspace: Path = Path("hmrtk-workspace")
    _bar: Any = field(default=None, repr=False)
    _tasks: dict[str, Any] = field(default_factory=dict, repr=False)
    _started: dict[str, float] = field(default_factory=dict, repr=False)

    def say(self, message: str) -> None:
        """A message for a person; silent with -q."""
        if not self.quiet:
            self._print(message)

    def result(self, value: Mapping[str, Any], lines: list[str]) -> None:
        """The outcome: ``lines`` for a person, or ``value`` as JSON."""
        self.close()
        if self.as_json:
            click.echo(json.dumps(value, indent=2, sort_keys=True, default=str))
        elif not self.quiet:
            for line in lines:
                click.echo(line)

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Draw a bar on a terminal; elsewhere print one line when a stage ends (every call with -v)."""
        if self.quiet:
            return
        if sys.stderr.isatty():
            self._draw(stage, done, total, note)
            return
        started = self._started.setdefault(stage, time.monotonic())
        if done >= total or self.verbose:
            took = f" in {time.monotonic() - started:.1f} s" if done >= total else ""
            click.echo(f"{stage}: {done}/{total}{took}{'  ' + note if note else ''}", err=True)
        if done >= total:
            del self._started[stage]

    def close(self) -> None:
        """Stop drawing; what was drawn stays."""
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._tasks = None, {}

    def _print(self, message: str) -> None:
        if self._bar is not None:
            self._bar.console.print(message, highlight=False, markup=False)
        else:
            click.echo(message, err=True)

    def _draw(self, stage: str, done: int, total: int, note: str) -> None:
        if self._bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*columns, console=RichConsole(stderr=True))
            self._bar.start()
        if stage not in self._tasks or done < self._bar.tasks[self._tasks[stage]].completed:
            self._tasks[stage] = self._bar.add_task(stage, total=total, note=note)
        self._bar.update(self._tasks[stage], completed=done, total=total, note=note)
