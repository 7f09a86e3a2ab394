"""Which reader serves which dataset and format. ``ingest`` asks here, and only here.

In: names; out: a ``Source``. What a dataset is, is said by its manifest; what can be read today, by ``_READERS``. The
raw files of one dataset are like those of no other: the format ``raw`` has a reader for each, in ``_RAW``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.manifest import load_manifest
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources import aist, amass, amc, bvh, deepmimic
from hmrtk.toolkit.sources.bedlam import BedlamSource
from hmrtk.toolkit.sources.cliff import CliffSource
from hmrtk.toolkit.sources.coco import CocoSource
from hmrtk.toolkit.sources.eft import EftSource
from hmrtk.toolkit.sources.embedded import EmbeddedSource
from hmrtk.toolkit.sources.h36m import H36mSource
from hmrtk.toolkit.sources.hmr2_npz import Hmr2NpzSource
from hmrtk.toolkit.sources.hmr2_tar import Hmr2TarSource
from hmrtk.toolkit.sources.humandata import HumanDataSource
from hmrtk.toolkit.sources.lsp import LspSource
from hmrtk.toolkit.sources.mocap import MocapConfig, MocapSource
from hmrtk.toolkit.sources.mpi_inf_3dhp import MpiInfSource
from hmrtk.toolkit.sources.mpii import MpiiSource
from hmrtk.toolkit.sources.spin_fits import FINAL, STATIC, SpinFitsSource
from hmrtk.toolkit.sources.spin_npz import SpinNpzSource
from hmrtk.toolkit.sources.threedoh import ThreedohSource
from hmrtk.toolkit.sources.threedpw import ThreedpwSource
from hmrtk.toolkit.sources.up3d import Up3dSource
from hmrtk.toolkit.sources.upi_s1h import UpiSource


class Source(Protocol):
    """Reader of one dataset in one format."""

    def ingest(
        self,
        root: Path | None,
        body: BodyModel,
        *,
        seed: int = 0,
        limit: int | None = None,
        progress: Progress = silent,
    ) -> dict[str, RecordTable]:
        """Raw files below ``root`` → split name → records; errors are ``InputError`` with file, row and remedy.

        ``root`` is None only for what ships in the package.
        """


_READERS: dict[str, Callable[[str, MocapConfig], Source]] = {
    "embedded": lambda name, config: EmbeddedSource(),
    "bvh": lambda name, config: MocapSource(name, (".bvh",), bvh.read, config),
    "amc": lambda name, config: MocapSource(name, (".amc",), amc.read, config),
    "deepmimic": lambda name, config: MocapSource(name, (".txt", ".json"), deepmimic.read, config),
    "amass": lambda name, config: MocapSource(name, (".npz",), amass.read, config, amass.action_of, amass.SKIPPED),
    "aist": lambda name, config: MocapSource(name, (".pkl",), aist.read, config, aist.action_of),
    "humandata": lambda name, config: HumanDataSource(name),
    "spin_npz": lambda name, config: SpinNpzSource(name),
    "eft": lambda name, config: EftSource(name),
    "cliff": lambda name, config: CliffSource(name),
    "hmr2_npz": lambda name, config: Hmr2NpzSource(name),
    "hmr2_tar": lambda name, config: Hmr2TarSource(name),
    "bedlam": lambda name, config: BedlamSource(),
    "masks": lambda name, config: UpiSource(),
    "spin_fits": lambda name, config: SpinFitsSource(name, FINAL),
    "spin_static_fits": lambda name, config: SpinFitsSource(name, STATIC),
}
"""format → maker of its source."""

RAW = "raw"
_RAW: dict[str, Callable[[], Source]] = {
    "3doh": ThreedohSource,
    "3dpw": ThreedpwSource,
    "coco": CocoSource,
    "densepose_coco": lambda: CocoSource("densepose_coco"),
    "h36m": H36mSource,
    "lsp": LspSource,
    "lspet": lambda: LspSource("lspet"),
    "mpi_inf_3dhp": MpiInfSource,
    "mpii": MpiiSource,
    "up3d": Up3dSource,
}
"""dataset → maker of the source of its raw files."""


def is_readable(dataset: str, fmt: str) -> bool:
    """Whether this version reads a dataset in a format."""
    return dataset in _RAW if fmt == RAW else fmt in _READERS


def open_source(dataset: str, fmt: str | None = None, mocap: MocapConfig | None = None) -> Source:
    """The reader of a dataset.

    Args:
        dataset: name of a manifest.
        fmt: one of the manifest's formats; None takes the first one that can be read.
        mocap: sampling and camera of the motion-capture formats.

    Raises:
        UnknownNameError: unknown dataset, or a format that the dataset does not come in.
        InputError: a format that this version does not read; says which are readable.
    """
    manifest = load_manifest(dataset)
    if fmt is not None and fmt not in manifest.formats:
        raise UnknownNameError(f"format of {dataset}", fmt, manifest.formats)
    wanted = [fmt] if fmt else list(manifest.formats)
    for name in wanted:
        if is_readable(dataset, name):
            return _RAW[dataset]() if name == RAW else _READERS[name](dataset, mocap or MocapConfig())
    raise InputError(
        f"dataset {dataset}",
        f"its format {' or '.join(wanted)} is declared in the manifest and not readable in this version",
        f"readable formats: {', '.join(_READERS)}; records made elsewhere can be passed with --records",
    )
