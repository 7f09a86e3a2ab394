"""Elements of a long list in a JSON file, in whatever pieces the file comes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources import json_items as module
from hmrtk.toolkit.sources.json_items import json_items

ITEMS = [{"a": [1, -2.5e-3, None], "b": 'ü]}\\" ,'}, [], 123456789, "x", {"data": {"data": [1]}}, True, 7]


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_any_chunk_gives_the_elements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    path = tmp_path / "x.json"
    document = {"ver": 12.5, "meta": {"data": [0]}, "data": ITEMS, "after": 1}
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=False), "utf-8")
    assert list(json_items(path, "data")) == ITEMS
    assert list(json_items(path, "data")) == json.loads(path.read_text("utf-8"))["data"]


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 16)
    path = tmp_path / "x.json"
    path.write_text('{"data": [1, 2, 3' + " " * 100 + "this is no JSON")
    assert list(itertools.islice(json_items(path, "data"), 3)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": []}', None),
        ('{"a": 1}', "has no data"),
        ('{"data": {}}', "data is no list"),
        ("[1]", r"is not valid JSON: expected '\{', got '\['"),
        ("", "is not valid JSON: it ends too early"),
        ('{"data": [1, {"a": 2', "is not valid JSON: .*the file may be truncated"),
        ('{"data": [1, 2', "is not valid JSON: it ends too early"),
        ('{"data": [1 2]}', "is not valid JSON: expected ',', got '2'"),
        (b'{"data": ["\xff\xff"]}', "is not valid JSON: it is no UTF-8 text"),
        ('{"data": [' + "[" * 100_000, "is not valid JSON"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: Any, message: str | None) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    if message is None:
        assert list(json_items(path, "data")) == []
        return
    with pytest.raises(InputError, match=message) as caught:
        list(json_items(path, "data"))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="nowhere: no such file"):
        list(json_items(tmp_path / "nowhere", "data"))
