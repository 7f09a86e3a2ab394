"""The formats by name. ``imported`` and the command line ask here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.evaluation.importers.cliff_npz import cliff_npz
from hmrtk.toolkit.evaluation.importers.eft_pkl import eft_pkl
from hmrtk.toolkit.evaluation.importers.gvhmr_pt import gvhmr_pt
from hmrtk.toolkit.evaluation.importers.humandata_npz import humandata_npz
from hmrtk.toolkit.evaluation.importers.hybrik_pk import hybrik_pk
from hmrtk.toolkit.evaluation.importers.pymaf_pkl import pymaf_pkl, pymaf_pkl_mixed
from hmrtk.toolkit.evaluation.importers.result import SystemResult
from hmrtk.toolkit.evaluation.importers.spin_npz import spin_npz
from hmrtk.toolkit.evaluation.importers.vibe_pkl import vibe_pkl
from hmrtk.toolkit.evaluation.importers.wham_pkl import wham_pkl


@dataclass(frozen=True)
class ResultFormat:
    """One layout of result files.

    Attributes:
        read: a file and the active body → its results.
        system: the system's name in tables, unless the user gives one.
    """

    read: Callable[[Path, BodyModel], SystemResult]
    system: str


FORMATS = {
    "spin_npz": ResultFormat(spin_npz, "spin"),
    "vibe_pkl": ResultFormat(vibe_pkl, "vibe"),
    "pymaf_pkl": ResultFormat(pymaf_pkl, "pymaf"),
    "pymaf_pkl_mixed": ResultFormat(pymaf_pkl_mixed, "pymaf"),
    "cliff_npz": ResultFormat(cliff_npz, "cliff"),
    "hybrik_pk": ResultFormat(hybrik_pk, "hybrik"),
    "eft_pkl": ResultFormat(eft_pkl, "eft"),
    "wham_pkl": ResultFormat(wham_pkl, "wham"),
    "gvhmr_pt": ResultFormat(gvhmr_pt, "gvhmr"),
    "humandata_npz": ResultFormat(humandata_npz, "humandata"),
}


def result_format(name: str) -> ResultFormat:
    """A format by name.

    Raises:
        UnknownNameError: the message lists the known ones.
    """
    if name not in FORMATS:
        raise UnknownNameError("format of results", name, FORMATS)
    return FORMATS[name]
