"""What readers of annotation share: files one after the other up to the limit, provenance, settings, empty splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile


@dataclass(frozen=True)
class Lines(AnnotationFiles):
    """One row per line of a text; the size of the pictures where the file's name has a capital letter."""

    format = "lines"
    nobody = "has no line"

    dataset: str = "lines"
    extra: Path = Path("a/b")

    def files(self, root: Path) -> dict[str, list[Path]]:
        return {folder.name: sorted(folder.glob("*.txt")) for folder in sorted(root.iterdir()) if folder.is_dir()}

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        lines = part.path.read_text().split()[:limit]
        size = np.tile(np.int32([4, 5]), (len(lines), 1)) if part.path.stem.isupper() else None
        return {"sample_id": [f"{part.split}/{part.name}/{line}" for line in lines], "image_size": size}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"train/A.txt": "1 2 3", "train/b.txt": "4 5", "train/c.txt": "6", "val/A.txt": "7 8"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_files_follow_each_other_up_to_the_limit(root: Path, body: BodyModel) -> None:
    said: list[Any] = []
    tables = Lines().ingest(root, body, limit=4, progress=lambda *told: said.append(told))
    train, val = tables["train"], tables["val"]
    assert train.sample_ids == [f"train/train/{name}" for name in ("A.txt/1", "A.txt/2", "A.txt/3", "b.txt/4")]
    assert list(train.metadata.provenance["inputs"]) == ["train/A.txt", "train/b.txt"]
    assert [told[1:3] for told in said] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert train.has("image_size").tolist() == [False] * 4  # one of its files has none
    assert val.array("image_size").tolist() == [[4, 5], [4, 5]]
    assert train.metadata.provenance["config"] == {"dataset": "lines", "format": "lines", "limit": 4, "extra": "a/b"}


def test_a_split_without_rows(root: Path, body: BodyModel) -> None:
    (root / "val/A.txt").write_text("")
    with pytest.raises(InputError, match=r"A\.txt: has no line"):
        Lines().ingest(root, body)
