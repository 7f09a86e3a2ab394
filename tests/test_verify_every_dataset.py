"""``datasets verify`` on every dataset in every format that has a reader: what is missing, cut off, renamed or another
file under that name is found, and its line names the file.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hmrtk.toolkit.dataset_check import DatasetReport, verify_dataset
from hmrtk.toolkit.records.manifest import load_manifest, manifest_names
from hmrtk.toolkit.sources.registry import is_readable
from tests.dataset_layouts import LAYOUTS, Layout, body

Damage = Callable[[Path], None]


def missing(file: Path) -> None:
    file.unlink()


def truncated(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def renamed(file: Path) -> None:
    file.rename(file.with_name(f"{file.name}.old"))


DAMAGES: dict[str, Damage] = {"missing": missing, "truncated": truncated, "renamed": renamed}
CASES = [
    pytest.param(layout, file, id=f"{layout.dataset}-{layout.format}-{Path(file).name}")
    for layout in LAYOUTS
    for file in layout.files
]

UNREAD = ("_image.png", "_segmentation.png")
"""Ends of files that may be any picture, as far as a reader can tell."""


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Layout], Path]:
    """A whole copy of each layout, made once."""
    root = tmp_path_factory.mktemp("copies")

    def copy(layout: Layout) -> Path:
        for package in layout.needs:
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"needs {package} (the extra raw)")
        place = root / f"{layout.dataset}-{layout.format}"
        if not place.exists():
            place.mkdir()
            layout.write(place)
        return place

    return copy


@pytest.fixture
def damaged(copies: Callable[[Layout], Path], tmp_path: Path) -> Callable[[Layout], Path]:
    """The same to be damaged."""

    def copy(layout: Layout) -> Path:
        return Path(shutil.copytree(copies(layout), tmp_path / "copy"))

    return copy


def verified(layout: Layout, root: Path, **options: bool) -> DatasetReport:
    return verify_dataset(layout.dataset, layout.format, root, body(), **options)


def test_the_table_is_complete() -> None:
    readable = {
        (name, fmt)
        for name in manifest_names()
        for fmt in load_manifest(name).formats
        if is_readable(name, fmt) and not load_manifest(name).packaged
    }
    assert readable == {(layout.dataset, layout.format) for layout in LAYOUTS}
    assert len(LAYOUTS) == len(readable)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.dataset}-{layout.format}")
def test_a_small_copy_lacks_nothing_but_rows(layout: Layout, copies: Callable[[Layout], Path]) -> None:
    report = verified(layout, copies(layout))
    assert [line for line in report.problems if "the manifest says" not in line] == []
    assert report.rows


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("layout", "file"), CASES)
def test_damage_is_found_and_named(layout: Layout, file: str, damage: str, damaged: Callable[[Layout], Path]) -> None:
    root = damaged(layout)
    entries = load_manifest(layout.dataset).entries(layout.format)
    places = [entry.path for entry in entries if file in entry.files(root)]
    DAMAGES[damage](root / file)
    report = verified(layout, root)
    assert not report.ok
    named = [
        Path(file).name,
        *(places if damage == "missing" else []),
    ]  # of a file that is gone only its place is known
    assert any(name in line for name in named for line in report.problems), report.problems


@pytest.mark.parametrize(("layout", "file"), [case for case in CASES if not case.id.endswith(UNREAD)])
def test_another_file_under_that_name_is_found_and_named(
    layout: Layout, file: str, copies: Callable[[Layout], Path], damaged: Callable[[Layout], Path]
) -> None:
    root = damaged(layout)
    for foreign in strangers(layout, file, copies)[:2]:
        shutil.copyfile(foreign, root / file)
        report = verified(layout, root)
        assert [line for line in report.problems if Path(file).name in line], (foreign, report.problems)


def strangers(layout: Layout, file: str, copies: Callable[[Layout], Path]) -> list[Path]:
    """Files with the same ending of other formats, or of the same dataset's other files."""
    kind, found = Path(file).suffix, dict[tuple[str, str], Path]()
    for other in LAYOUTS:
        for path in other.files:
            same = other is layout and Path(path).parts[:-2] == Path(file).parts[:-2]
            key = (other.dataset if other.format == "raw" else "", other.format)
            mine = (layout.dataset if layout.format == "raw" else "", layout.format)
            wider = other.dataset == "densepose_coco" and layout.dataset == "coco"  # its json is COCO's with more keys
            apart = not same and not wider and key != mine
            if Path(path).suffix == kind and apart and not set(other.needs) - set(layout.needs):
                found.setdefault(key, copies(other) / path)
    if not found:  # a kind of its own
        found["text", ""] = Path(__file__)
    return list(found.values())
