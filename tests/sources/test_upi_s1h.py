"""UPi-S1h's masks, written from known people: their boxes, names and paths come back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.registry import open_source
from tests.sources.people import random_people, tight
from tests.sources.pictures import Known, drawn, known_people, sides

SIZE = (480, 640)


def masks(known: Known, row: int, body: BodyModel) -> tuple[np.ndarray, np.ndarray]:
    """Silhouette (0, 255) and parts (0 to 6; 255 along the right edge) of a person."""
    picture = drawn(known, row, SIZE, body).astype(int)
    person = picture.sum(axis=2) > 265
    side = picture[..., 0] - picture[..., 2]
    low = np.arange(SIZE[0])[:, None] > known.pixels[row, 14, 1]  # below the pelvis: legs
    parts = np.where(side > 60, np.where(low, 4, 1), np.where(side < -60, np.where(low, 5, 2), 6))
    parts = np.where(person, parts, 0)
    parts[:, -1] = 255
    return (255 * person).astype(np.uint8), parts.astype(np.uint8)


def write_masks(root: Path, body: BodyModel, count: int = 3, first: int = 999) -> Known:
    """LSP's masks from a number on, and one each of the other folders."""
    known = known_people(random_people(body, count), body)
    for row in range(count):
        silhouette, parts = masks(known, row, body)
        save(root / f"lsp/im{first + row:04d}_segmentation.png", silhouette)
        save(root / f"lsp/im{first + row:04d}_part_segmentation.png", parts)
    save(root / "lsp_extended/im00007_segmentation.png", np.repeat(silhouette[..., None] // 255, 3, axis=2))
    save(root / "mpii/images/00012_segmentation.png", silhouette[:, ::-1])
    return known


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


@pytest.mark.parametrize("base", ["", "data"])
def test_boxes_and_paths(tmp_path: Path, body: BodyModel, base: str) -> None:
    write_masks(tmp_path / base, body)
    tables = open_source("upi_s1h").ingest(tmp_path, body)
    assert {split: len(table) for split, table in tables.items()} == {"train": 2, "test": 1, "lspet": 1, "mpii": 1}
    train = tables["train"]
    assert train.sample_ids == ["upi_s1h/train/lsp/im0999", "upi_s1h/train/lsp/im1000"]
    np.testing.assert_allclose(train.array("bbox_xyxy"), tight(random_people(body, 3).vertices)[:2], atol=1.5)
    assert train.array("image_size").tolist() == [list(SIZE)] * 2
    assert train.array("image_path").tolist() == ["images/im0999.jpg", "images/im1000.jpg"]
    prefix = f"{base}/" if base else ""
    assert train.dense is not None
    assert train.dense.table.to_pylist()[1] == {
        "sample_id": "upi_s1h/train/lsp/im1000",
        "silhouette_path": f"{prefix}lsp/im1000_segmentation.png",
        "parts_path": f"{prefix}lsp/im1000_part_segmentation.png",
        "points": None, "masks_box": None, "masks": None,
    }  # fmt: skip
    assert tables["lspet"].array("image_path").tolist() == ["images/im00007.jpg"]
    assert tables["mpii"].array("image_path").tolist() == [None]
    assert tables["mpii"].dense is not None
    for name in ("mpii/images/00012.png", "lsp/im0999.jpg"):
        (tmp_path / base / name).touch()
    tables = open_source("upi_s1h").ingest(tmp_path, body)
    assert tables["mpii"].array("image_path").tolist() == [f"{prefix}mpii/images/00012.png"]
    assert tables["train"].array("image_path").tolist() == [f"{prefix}lsp/im0999.jpg", "images/im1000.jpg"]
    assert tables["mpii"].dense.value("upi_s1h/mpii/mpii/images/00012", "parts_path") is None
    assert len(open_source("upi_s1h").ingest(tmp_path, body, limit=1)["train"]) == 1


def test_left_is_left(body: BodyModel) -> None:
    """Part 1 is the left arm: the picture's colours, from which the masks are made, follow the skinning."""
    known = known_people(random_people(body, 1), body)
    _, parts = masks(known, 0, body)
    left = np.floor(known.outline[0, sides(body) == 0]).astype(int)
    assert np.isin(parts[left[:, 1], left[:, 0]], (1, 4)).mean() > 0.8


def test_damage_is_named(tmp_path: Path, body: BodyModel) -> None:
    source = open_source("upi_s1h")
    with pytest.raises(InputError, match=r"has no lsp/\*_segmentation\.png or lsp_extended/"):
        source.ingest(tmp_path, body)
    path = tmp_path / "lsp/im1001_segmentation.png"
    save(path, np.zeros(SIZE, np.uint8))
    with pytest.raises(InputError, match=r"im1001_segmentation\.png: is empty, expected a silhouette"):
        source.ingest(tmp_path, body)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"im1001_segmentation\.png: is not a readable picture"):
        source.ingest(tmp_path, body)
