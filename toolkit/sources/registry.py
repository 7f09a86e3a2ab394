"""Which reader serves which dataset and format. ``ingest`` asks here, and only here.

In: names; out: a ``Source``. What a dataset is, is said by its manifest; what can be read today, by ``_READERS``. The
raw files of one dataset are like those of no other: the format ``raw`` has a reader for each, in ``_RAW``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
from hmrtk.toolkit.sources.options import Option, option_values, options_of
from hmrtk.toolkit.sources.retarget import Motion
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


@dataclass(frozen=True)
class Reader:
    """How a source is made.

    Attributes:
        make: from the name of the dataset and the options.
        settings: the dataclass whose fields are the options; None where there are none.
    """

    make: Callable[..., Source]
    settings: type | None = None


def _mocap(suffixes: tuple[str, ...], read: Callable[[Path], Motion], *others: Any) -> Reader:
    return Reader(lambda name, **set_: MocapSource(name, suffixes, read, MocapConfig(**set_), *others), MocapConfig)


_READERS: dict[str, Reader] = {
    "embedded": Reader(lambda name: EmbeddedSource()),
    "bvh": _mocap((".bvh",), bvh.read),
    "amc": _mocap((".amc",), amc.read),
    "deepmimic": _mocap((".txt", ".json"), deepmimic.read),
    "amass": _mocap((".npz",), amass.read, amass.action_of, amass.SKIPPED),
    "aist": _mocap((".pkl",), aist.read, aist.action_of),
    "humandata": Reader(HumanDataSource, HumanDataSource),
    "spin_npz": Reader(SpinNpzSource, SpinNpzSource),
    "eft": Reader(EftSource, EftSource),
    "cliff": Reader(CliffSource, CliffSource),
    "hmr2_npz": Reader(Hmr2NpzSource, Hmr2NpzSource),
    "hmr2_tar": Reader(Hmr2TarSource, Hmr2TarSource),
    "bedlam": Reader(lambda name: BedlamSource()),
    "masks": Reader(lambda name: UpiSource()),
    "spin_fits": Reader(lambda name: SpinFitsSource(name, FINAL)),
    "spin_static_fits": Reader(lambda name: SpinFitsSource(name, STATIC)),
}
"""format → maker of its source."""

RAW = "raw"
_RAW: dict[str, Reader] = {
    "3doh": Reader(ThreedohSource, ThreedohSource),
    "3dpw": Reader(ThreedpwSource, ThreedpwSource),
    "coco": Reader(CocoSource, CocoSource),
    "densepose_coco": Reader(CocoSource, CocoSource),
    "h36m": Reader(lambda name, **set_: H36mSource(**set_), H36mSource),
    "lsp": Reader(LspSource, LspSource),
    "lspet": Reader(LspSource, LspSource),
    "mpi_inf_3dhp": Reader(lambda name, **set_: MpiInfSource(**set_), MpiInfSource),
    "mpii": Reader(lambda name, **set_: MpiiSource(**set_), MpiiSource),
    "up3d": Reader(Up3dSource, Up3dSource),
}
"""dataset → maker of the source of its raw files."""


def is_readable(dataset: str, fmt: str) -> bool:
    """Whether this version reads a dataset in a format."""
    return dataset in _RAW if fmt == RAW else fmt in _READERS


def reader_options(dataset: str, fmt: str) -> dict[str, Option]:
    """What the reader of a readable format can be told, by name."""
    settings = _reader(dataset, fmt).settings
    return options_of(settings) if settings else {}


def open_source(
    dataset: str, fmt: str | None = None, mocap: MocapConfig | None = None, options: Mapping[str, str] | None = None
) -> Source:
    """The reader of a dataset.

    Args:
        dataset: name of a manifest.
        fmt: one of the manifest's formats; None takes the first one that can be read.
        mocap: sampling and camera of the motion-capture formats.
        options: name → text, of ``reader_options``.

    Raises:
        UnknownNameError: unknown dataset or option, or a format that the dataset does not come in.
        InputError: a format that this version does not read (says which are readable), or an option's value.
    """
    manifest = load_manifest(dataset)
    if fmt is not None and fmt not in manifest.formats:
        raise UnknownNameError(f"format of {dataset}", fmt, manifest.formats)
    wanted = [fmt] if fmt else list(manifest.formats)
    for name in wanted:
        if is_readable(dataset, name):
            known = reader_options(dataset, name)
            values = option_values(options or {}, known, f"{dataset} in format {name}")
            own = vars(mocap) if mocap and _reader(dataset, name).settings is MocapConfig else {}
            return _reader(dataset, name).make(dataset, **{**own, **values})
    raise InputError(
        f"dataset {dataset}",
        f"its format {' or '.join(wanted)} is declared in the manifest and not readable in this version",
        f"readable formats: {', '.join(_READERS)}; records made elsewhere can be passed with --records",
    )


def _reader(dataset: str, fmt: str) -> Reader:
    return _RAW[dataset] if fmt == RAW else _READERS[fmt]
