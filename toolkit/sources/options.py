"""What readers can be told: the fields of their dataclasses, as options with a type, a default and a meaning.

In: a dataclass, and texts as a command line has them. Out: ``Option`` and values of the fields' types. The registry
asks for them, ``ingest --option`` passes them, ``datasets show`` lists them.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from hmrtk.toolkit.errors import InputError, UnknownNameError

FIXED = ("dataset", "kind")
"""Fields that data set and format decide."""
_NAMES = {bool: "yes or no", int: "whole number", float: "number", str: "text", Path: "path"}
_TRUTHS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_ENTRY = re.compile(r"\s*(\w+(?:, \w+)*): (.+)")


@dataclass(frozen=True)
class Option:
    """Something a reader can be told.

    Attributes:
        name: of the field. type: its type. default: its value when nothing is said.
        meaning: what the dataclass's docstring says of it.
    """

    name: str
    type: Any
    default: Any
    meaning: str

    def line(self) -> str:
        """For a person: name, kind, default, meaning."""
        return f"{self.name}: {kind_name(self.type)} [{_shown(self.default)}]; {self.meaning}"

    def value(self, text: str) -> Any:
        """A value of the option's type from a text.

        Raises:
            InputError: the text is no such value.
        """
        try:
            return _parsed(self.type, text.strip())
        except (ValueError, KeyError):
            raise InputError(
                f"option {self.name}",
                f"is {text!r}, expected {kind_name(self.type)}",
                f"default: {_shown(self.default)}",
            ) from None


def options_of(settings: type) -> dict[str, Option]:
    """The options of a dataclass, in its order; a field without a default is none."""
    hints, meanings = typing.get_type_hints(settings), _meanings(settings)
    return {
        field.name: Option(field.name, hints[field.name], field.default, meanings.get(field.name, ""))
        for field in fields(settings)
        if field.name not in FIXED and field.default is not MISSING
    }


def option_values(given: Mapping[str, str], known: Mapping[str, Option], reader: str) -> dict[str, Any]:
    """Values for a reader's fields.

    Args:
        given: name → text. known: the reader's options. reader: what it is called in messages.

    Raises:
        UnknownNameError: an unknown name; lists the known ones. InputError: a text of another kind.
    """
    for name in given:
        if not known:
            raise InputError(f"option {name}", f"{reader} has no options")
        if name not in known:
            raise UnknownNameError(f"option of {reader}", name, known)
    return {name: known[name].value(text) for name, text in given.items()}


def split_options(texts: tuple[str, ...]) -> dict[str, str]:
    """``("step=5", "limbs=yes")`` → name → text.

    Raises:
        InputError: a text without ``=``, or a name twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"option {text!r}", "is not NAME=VALUE")
        if name in found:
            raise InputError(f"option {name}", "is given twice")
        found[name] = value
    return found


def require_positive(**values: float | None) -> None:
    """Refuse numbers that are not above 0; None passes.

    Raises:
        InputError: names the option.
    """
    for name, value in values.items():
        if value is not None and not value > 0:
            raise InputError(f"option {name}", f"expected a number above 0, got {value:g}")


def kind_name(kind: Any) -> str:
    """What a type is called to a person."""
    if isinstance(kind, types.UnionType):
        return next(kind_name(each) for each in typing.get_args(kind) if each is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        many = "any number of" if inner[-1] is Ellipsis else str(len(inner))
        return f"{many} {_NAMES[inner[0]]}s, with commas" if inner[0] is not str else f"{many} names, with commas"
    return _NAMES[kind]


def _parsed(kind: Any, text: str) -> Any:
    if isinstance(kind, types.UnionType):
        return next(_parsed(each, text) for each in typing.get_args(kind) if each is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        values = tuple(_parsed(inner[0], part.strip()) for part in text.split(",") if part.strip())
        if inner[-1] is not Ellipsis and len(values) != len(inner):
            raise ValueError(text)
        return values
    if kind is bool:
        return _TRUTHS[text.lower()]
    value = kind(text)
    if isinstance(value, int | float) and (not math.isfinite(value) or value < 0):
        raise ValueError(text)
    return value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "all"
    return "as the format has it" if value is None else f"{value}"


def _meanings(settings: type) -> dict[str, str]:
    """Field → its text in the docstring's list of attributes; lines that go on are joined."""
    lines = (inspect.getdoc(settings) or "").partition("Attributes:")[2].splitlines()
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        entry = _ENTRY.match(line) if len(line) - len(line.lstrip()) == 4 else None
        if entry:
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2].strip())
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: text.rstrip(".").replace("``", "") for name, text in found.items()}
