"""Manifests: what a dataset is, where it comes from, how it lies on disk, and how results on it are measured.

In: ``datasets_manifest/<name>.toml``, written by hand; out: a validated ``Manifest``. ``datasets``, ``ingest``,
``tail-report`` and ``build-prototypes`` read them; nothing else knows a fact about a dataset.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.wording import sized


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LayoutEntry(_Strict):
    """One place of the layout on disk: a path or glob below the root, and what is there."""

    path: str
    meaning: str
    format: str = ""
    """The format it belongs to; empty: to all of them."""
    optional: bool = False
    count: int | None = Field(default=None, gt=0)
    """Files that match in a whole copy, where that is known."""
    group: str = ""
    """Entries of one group have files for the same names: what their wildcards stand for, in the same order."""
    pictures: bool = False
    """These are the pictures that the annotation lists, under their usual names."""

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        return _inside(value)

    def is_below(self, root: Path) -> bool:
        """Whether at least one file or folder matches."""
        return next(root.glob(self.path), None) is not None

    def files(self, root: Path) -> list[str]:
        """Paths below ``root`` that match, sorted."""
        return sorted(path.relative_to(root).as_posix() for path in root.glob(self.path))

    def names(self, root: Path) -> dict[tuple[str, ...], str]:
        """What the wildcards stand for in each path that matches → the path. One that begins with ``_`` is no name."""
        fixed, wild = re.split(r"[*?]", self.path), re.findall(r"[*?]", self.path)
        expressions = ["([^/]*)" if each == "*" else "([^/])" for each in wild]
        pattern = "".join(re.escape(text) + part for text, part in zip(fixed, [*expressions, ""], strict=True))
        found = {match.groups(): path for path in self.files(root) if (match := re.fullmatch(pattern, path))}
        return {name: path for name, path in found.items() if not any(part.startswith("_") for part in name)}

    def named(self, name: tuple[str, ...]) -> str:
        """The path with ``name`` for its wildcards."""
        fixed = re.split(r"[*?]", self.path)
        return "".join(text + part for text, part in zip(fixed, (*name, ""), strict=True))


class Download(_Strict):
    """A file of the dataset that may be had without registration.

    Attributes:
        url: http or https.
        file: its place below the dataset's folder.
        meaning: what is in it.
        part: what ``--part`` calls it; several files may be one part.
        optional: fetched only when its part is asked for.
        bytes: its size, where it is known.
        sha256, md5: lower-case hex; empty where nobody published them.
        unpack: an archive's folder below the dataset's, ``.`` for that itself; empty: no archive, stays as it is.
        strip: a folder at the head of the members' names that is left out.
        unpacked: bytes of its members, about; for the space that is needed.
        licence: of this file, where it is another than the dataset's.
    """

    url: str = Field(pattern=r"^https?://[^/\s]+/\S+$")
    file: str
    meaning: str
    part: str = Field(pattern=r"^[a-z0-9_-]+$")
    optional: bool = False
    bytes: int | None = Field(default=None, gt=0)
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    md5: str = Field(default="", pattern=r"^([0-9a-f]{32})?$")
    unpack: str = ""
    strip: str = ""
    unpacked: int | None = Field(default=None, gt=0)
    licence: str = ""

    @field_validator("file", "unpack", "strip")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        return _inside(value)


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{value!r} leaves the dataset's root")
    return value


class Split(_Strict):
    """A split: how many samples it has (null where no source says) and where that number is from."""

    count: int | None = Field(default=None, gt=0)
    meaning: str = ""


class ProtocolFacts(_Strict):
    """How results on this dataset are measured under one name."""

    name: str
    split: str
    joint_set: str
    regressor: str
    root: str
    gender: str
    meaning: str = ""


class Manifest(_Strict):
    """One dataset.

    Attributes:
        name: the name used everywhere; equals the file's stem.
        title, homepage, licence, citation: as its owners state them.
        obtain: steps to get it, in order.
        layout: what is expected below the root.
        downloads: files that may be had without registration; empty where the owners ask for one.
        formats: file formats it comes in, the usual one first.
        splits: name → count and meaning.
        protocols: evaluation protocols with the conventions of each.
        joint_set, regressor, root, gender_rule: of its own annotation; ``gender_rule`` says which body is meant.
        default_k: K of the prototypes (PM-Net §IV for the papers' datasets).
        tail_percents: T-x% that are reported.
        packaged: it ships with hmrtk and needs no files.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    homepage: str
    licence: str
    citation: str
    obtain: tuple[str, ...] = Field(min_length=1)
    formats: tuple[str, ...] = Field(min_length=1)
    joint_set: str
    regressor: str
    root: str
    gender_rule: str
    default_k: int = Field(gt=0)
    tail_percents: tuple[float, ...]
    packaged: bool = False
    kind: Literal["dataset", "format"] = "dataset"
    """``format``: no particular dataset but any folder of files of that format."""
    layout: tuple[LayoutEntry, ...] = ()
    downloads: tuple[Download, ...] = ()
    splits: dict[str, Split] = Field(min_length=1)
    protocols: tuple[ProtocolFacts, ...] = ()

    @field_validator("tail_percents")
    @classmethod
    def _percents(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < percent <= 100 for percent in value):
            raise ValueError(f"{value} are not all between 0 and 100")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        for entry in self.layout:
            if entry.format and entry.format not in self.formats:
                raise ValueError(f"layout {entry.path!r} names format {entry.format!r}, expected one of {self.formats}")
            if entry.group and ("**" in entry.path or "[" in entry.path):
                raise ValueError(f"layout {entry.path!r} is in a group, where only * and ? are possible")
        for protocol in self.protocols:
            if protocol.split not in self.splits:
                raise ValueError(f"protocol {protocol.name!r} names split {protocol.split!r}, which is not declared")
        if not self.layout and not self.packaged:
            raise ValueError("layout is empty")
        files = [download.file for download in self.downloads]
        if len(set(files)) < len(files):
            raise ValueError(f"downloads: {max(files, key=files.count)!r} is there twice")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that can be downloaded, in the file's order."""
        return tuple(dict.fromkeys(download.part for download in self.downloads))

    def entries(self, fmt: str) -> tuple[LayoutEntry, ...]:
        """The places of one format and those of all."""
        return tuple(entry for entry in self.layout if entry.format in ("", fmt))

    def missing(self, root: Path | None, fmt: str | None = None) -> tuple[LayoutEntry, ...]:
        """Required places that are not below ``root``, all of them when it is None.

        Args:
            root: the dataset's folder.
            fmt: what this format needs; None means the format of which least is missing.
        """
        if fmt is None:
            return min((self.missing(root, each) for each in self.formats), key=len)
        wanted = [entry for entry in self.entries(fmt) if not entry.optional]
        return tuple(entry for entry in wanted if root is None or not entry.is_below(root))

    def missing_message(self, root: Path | None = None, fmt: str | None = None) -> str:
        """Several lines for a person: what is missing, the layout that is expected, and where it comes from."""
        gone = self.missing(root, fmt)
        where = "is not on this machine" if root is None else f"is not complete in {root}"
        lines = [f"{self.title} {where}."]
        if root is not None:
            lines += ["Missing:", *(f"  {entry.path}  ({entry.meaning})" for entry in gone)]
        lines += [*self._layout_lines(), *self.obtain_lines()]
        return "\n".join([*lines, f"Homepage: {self.homepage}", f"Licence: {self.licence}"])

    def page(self) -> list[str]:
        """Everything, as lines for a person."""
        percents = ", ".join(f"{percent:g} %" for percent in self.tail_percents)
        return [
            f"{self.name}: {self.title}",
            f"Homepage: {self.homepage}",
            f"Licence: {self.licence}",
            f"Citation: {self.citation}",
            f"Formats: {', '.join(self.formats)}",
            f"Annotation: joint set {self.joint_set}, regressor {self.regressor}, root {self.root}",
            f"Gender: {self.gender_rule}",
            f"Prototypes: K = {self.default_k}; tails: {percents}",
            "Splits:",
            *(f"  {name}: {split.count or 'count not known'}; {split.meaning}" for name, split in self.splits.items()),
            *(["Protocols:"] if self.protocols else []),
            *(f"  {p.name}: {p.split}, {p.joint_set}, root {p.root}, {p.gender}; {p.meaning}" for p in self.protocols),
            *(self._layout_lines() if self.layout else []),
            *self.obtain_lines(),
            *self._download_lines(),
        ]

    def _layout_lines(self) -> list[str]:
        width = max((len(entry.path) for entry in self.layout), default=0)
        lines = ["Expected layout below its root:"]
        for entry in self.layout:
            notes = [entry.format and f"format {entry.format}", "optional" if entry.optional else ""]
            remark = f" [{', '.join(filter(None, notes))}]" if any(notes) else ""
            lines.append(f"  {entry.path:<{width}}  {entry.meaning}{remark}")
        return lines

    def obtain_lines(self) -> list[str]:
        """The steps to get it, numbered, for a person."""
        return ["How to get it:", *(f"  {i}. {step}" for i, step in enumerate(self.obtain, 1))]

    def _download_lines(self) -> list[str]:
        if not self.downloads:
            return []
        width = max(len(part) for part in self.parts)
        lines = [f"Without registration: hmrtk datasets download {self.name} [--part PART]:"]
        for each in self.downloads:
            size = f", {sized(each.bytes)}" if each.bytes else ""
            remark = " [only when its part is named]" if each.optional else ""
            lines.append(f"  {each.part:<{width}}  {each.meaning} ({each.url}{size}){remark}")
        return lines


def manifest_names() -> tuple[str, ...]:
    """Names of all manifests, sorted."""
    folder = importlib.resources.files("hmrtk.datasets_manifest")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


@functools.cache
def load_manifest(name: str) -> Manifest:
    """The manifest of a dataset.

    Raises:
        UnknownNameError: no such manifest; lists the known ones.
        InputError: the file is not valid; names the field.
    """
    if name not in manifest_names():
        raise UnknownNameError("dataset", name, manifest_names())
    text = (importlib.resources.files("hmrtk.datasets_manifest") / f"{name}.toml").read_text("utf-8")
    return parse_manifest(text, f"{name}.toml", name)


def parse_manifest(text: str, place: str, name: str) -> Manifest:
    """Validate a manifest's text.

    Args:
        text: TOML.
        place: the file, for error messages.
        name: what the field ``name`` has to say.

    Raises:
        InputError: not TOML, an unknown, missing or bad field, or another name; one line.
    """
    try:
        manifest = Manifest.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(place, f"is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise InputError(place, f"{field}: {first['msg']}") from None
    if manifest.name != name:
        raise InputError(place, f"name is {manifest.name!r}, expected {name!r} like the file")
    return manifest
