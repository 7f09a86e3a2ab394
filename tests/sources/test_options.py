"""Options of readers: types, defaults and meanings from their dataclasses; values from texts; what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.manifest import load_manifest, manifest_names
from hmrtk.toolkit.sources.coco import CocoSource
from hmrtk.toolkit.sources.h36m import H36mSource
from hmrtk.toolkit.sources.mocap import MocapConfig, MocapSource
from hmrtk.toolkit.sources.mpi_inf_3dhp import MpiInfSource
from hmrtk.toolkit.sources.options import option_values, options_of, split_options
from hmrtk.toolkit.sources.registry import is_readable, open_source, reader_options
from hmrtk.toolkit.sources.spin_npz import SpinNpzSource


@dataclass(frozen=True)
class Settings:
    """Something.

    Attributes:
        dataset: fixed.
        step: every so many,
            on two lines.
        size: ``height`` and width.
    """

    dataset: str
    step: int = 5
    half: bool = False
    factor: float | None = None
    size: tuple[int, int] = (4, 6)
    names: tuple[str, ...] = ()
    folder: Path | None = None


def test_options_are_the_fields() -> None:
    known = options_of(Settings)
    assert list(known) == ["step", "half", "factor", "size", "names", "folder"]
    assert known["step"].line() == "step: whole number [5]; every so many, on two lines"
    assert known["size"].line() == "size: 2 whole numbers, with commas [4,6]; height and width"
    assert known["names"].line() == "names: any number of names, with commas [all]; "


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("step", "3", 3), ("half", "Yes", True), ("half", "0", False), ("factor", "1.5", 1.5),
        ("size", "10, 20", (10, 20)),
        ("names", "a,b", ("a", "b")), ("names", "", ()), ("folder", "/a/b", Path("/a/b")),
    ],
)  # fmt: skip
def test_values(name: str, text: str, value: Any) -> None:
    assert option_values({name: text}, options_of(Settings), "it") == {name: value}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("step", "3.5", r"option step: is '3\.5', expected whole number \(default: 5\)"),
        ("step", "-1", "option step: is '-1', expected whole number"),
        ("factor", "nan", "option factor: is 'nan', expected number"),
        ("half", "maybe", "option half: is 'maybe', expected yes or no"),
        ("size", "1,2,3", "option size: is '1,2,3', expected 2 whole numbers, with commas"),
    ],
)
def test_other_values_are_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        option_values({name: text}, options_of(Settings), "it")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown option of coco in format raw 'limb'.*limbs"):
        open_source("coco", options={"limb": "yes"})
    with pytest.raises(InputError, match="option step: lsp in format raw has no options"):
        open_source("lsp", options={"step": "2"})


def test_texts_are_split() -> None:
    assert split_options(("step=5", "names=a=b")) == {"step": "5", "names": "a=b"}
    with pytest.raises(InputError, match="option 'step': is not NAME=VALUE"):
        split_options(("step",))
    with pytest.raises(InputError, match="option step: is given twice"):
        split_options(("step=5", "step=6"))


def test_sources_get_their_options() -> None:
    assert open_source("coco", options={"limbs": "yes"}) == CocoSource(limbs=True)
    assert open_source("densepose_coco", options={"min_keypoints": "0"}) == CocoSource("densepose_coco", 0)
    chosen = open_source("h36m", "raw", options={"step": "25", "cameras": "60457274"})
    assert chosen == H36mSource(25, ("60457274",))
    assert open_source("mpi_inf_3dhp", options={"cameras": "0,2"}) == MpiInfSource(cameras=(0, 2))
    assert open_source("h36m", "spin_npz", options={"expansion": "1"}) == SpinNpzSource("h36m", 1.0)
    amass = open_source("amass", mocap=MocapConfig(fps=30, distance=6), options={"fps": "60", "image_size": "100,200"})
    assert isinstance(amass, MocapSource)
    assert amass.config == MocapConfig(60, 6, image_size=(100, 200))


@pytest.mark.parametrize(
    ("dataset", "fmt", "options", "message"),
    [
        ("h36m", "raw", {"step": "0"}, "option step: expected a number above 0, got 0"),
        ("mpi_inf_3dhp", "raw", {"cameras": "14"}, r"option cameras: expected some of 0 to 13, got \[14\]"),
        ("mpi_inf_3dhp", "raw", {"cameras": ""}, "option cameras: expected some of"),
        ("coco", "raw", {"hidden_confidence": "2"}, "option hidden_confidence: expected 0 to 1, got 2"),
        ("amass", None, {"fps": "0"}, "option fps: expected a number above 0, got 0"),
        ("coco", "spin_npz", {"expansion": "0"}, "option expansion: expected a number above 0"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    dataset: str, fmt: str | None, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_source(dataset, fmt, options=options)


def test_every_option_says_what_it_means() -> None:
    for name in manifest_names():
        for fmt in load_manifest(name).formats:
            if is_readable(name, fmt):
                for option in reader_options(name, fmt).values():
                    assert len(option.meaning) > 1, (name, fmt, option.name)
                    option.line()
