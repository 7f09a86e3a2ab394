"""``evaluate`` as a user calls it: one protocol, all of them, groups, 2D metrics, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.evaluation.keypoints import projected_keypoints
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import PROTOCOLS
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.dense import DenseTable
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.embedded import embedded_records

from .conftest import Hmrtk

Failing = Callable[..., str]
ROWS = 40
RECORDS = ("--records", "records.parquet", "--split", "test")


def predictions(path: Path, noise: float, rows: int = ROWS, camera: bool = False) -> Path:
    """Predictions for the first test rows: the truth with seeded noise on the pose; the records beside them."""
    body = load_body()
    records = embedded_records("test", body, rows)
    records.write(path.with_name("records.parquet"))
    truth = records.parameters()
    rng = np.random.default_rng(0)
    guess = truth.replaced(body_pose=truth.body_pose + noise * rng.normal(size=truth.body_pose.shape))
    cameras = record_crops(records, body).camera.astype(np.float32) if camera else None
    meta = PredictionsMetadata(system=path.stem, body=body.fingerprint)
    Predictions(records.sample_ids, guess, meta, cameras).write(path)
    return path


def test_a_perfect_system(hmrtk: Hmrtk, tmp_path: Path) -> None:
    path = predictions(tmp_path / "perfect.parquet", 0.0, camera=True)
    done = hmrtk("evaluate", "--predictions", path, *RECORDS, "--json")
    assert done.code == 0, done.err
    assert done.json["n"] == ROWS
    assert done.json["protocol"]["name"] == "hmrtk"
    millimetres = ("mpjpe", "pa_mpjpe", "pve", "pa_pve", "pve_s", "pve_p")
    assert {m: done.json["metrics"][m] for m in millimetres} == pytest.approx(dict.fromkeys(millimetres, 0), abs=1e-3)
    for metric in ("pck", "auc", "pa_pck", "pa_auc"):
        assert done.json["metrics"][metric] == pytest.approx(100)
    assert done.json["metrics"]["pck2d_10"] > done.json["metrics"]["pck2d_05"] > 95  # the pictures' own lens is nearer
    lines = hmrtk("evaluate", "--predictions", path, *RECORDS).out.splitlines()
    assert lines[0].split() == ["mpjpe", "0.00", "mm"]
    assert ["pck", "100.00", "%"] in [line.split() for line in lines]
    assert lines[-3] == f"{ROWS} samples."
    assert lines[-2].startswith("Protocol hmrtk: 24 joints (smpl24), moved to the pelvis;")
    assert lines[-1].startswith(f"2D keypoints: every known one of {ROWS} people;")
    assert done.json["rules"] == lines[-2:]


def test_groups(hmrtk: Hmrtk, tmp_path: Path) -> None:
    path = predictions(tmp_path / "noisy.parquet", 0.1)
    call = ("evaluate", "--predictions", path, *RECORDS, "--by")
    found = hmrtk(*call, "action", "--json").json
    groups = found["by"]["groups"]
    assert sum(group["n"] for group in groups) == ROWS
    weighed = sum(group["n"] * group["metrics"]["mpjpe"] for group in groups) / ROWS
    assert weighed == pytest.approx(found["metrics"]["mpjpe"])
    mean = np.mean([group["metrics"]["pve"] for group in groups])
    assert found["by"]["average"]["pve"] == pytest.approx(mean)
    per_joint = hmrtk(*call, "joint", "--json").json
    assert len(per_joint["by"]["groups"]) == 24
    values = [group["metrics"]["mpjpe"] for group in per_joint["by"]["groups"]]
    assert np.mean(values) == pytest.approx(per_joint["metrics"]["mpjpe"])
    table = hmrtk(*call, "joint").out.splitlines()
    assert table[0].split() == ["joint", "n", "mpjpe", "pa_mpjpe"]
    assert table[1].split()[:3] == ["pelvis", str(ROWS), "0.00"]


def test_the_same_predictions_under_every_protocol(hmrtk: Hmrtk, tmp_path: Path) -> None:
    path = predictions(tmp_path / "noisy.parquet", 0.1, 12)
    found = {p["protocol"]["name"]: p for p in hmrtk("evaluate", "--predictions", path, *RECORDS, "--protocol", "all",
                                                     "--json").json["protocols"]}  # fmt: skip
    assert list(found) == list(PROTOCOLS)
    assert found["hmrtk"]["n"] == 12
    assert found["vibe"]["metrics"]["mpjpe"] != pytest.approx(found["hybrik"]["metrics"]["mpjpe"], abs=1e-3)
    assert found["vibe"]["metrics"]["pa_mpjpe"] == pytest.approx(found["hybrik"]["metrics"]["pa_mpjpe"])
    assert "no such row is of camera 60457274" in found["spin-h36m-p2"]["reason"]
    lines = hmrtk("evaluate", "--predictions", path, *RECORDS, "--protocol", "all").out.splitlines()
    assert lines[0].split() == ["protocol", "n", "mpjpe", "pa_mpjpe", "pve"]
    assert any(line.startswith("spin-h36m-p2: not applied, ") for line in lines)
    assert lines[-1].startswith("Protocol ")


def in_pictures(folder: Path, dataset: str, names: list[str]) -> tuple[RecordTable, Path]:
    """People without bodies or 3D joints, as COCO's and LSP's are, whose keypoints perfect predictions meet."""
    body = load_body()
    source = embedded_records("test", body, len(names))
    ids = [f"{dataset}/val/{i}" for i in range(len(names))]
    camera = record_crops(source, body).camera.astype(np.float32)
    meta = PredictionsMetadata(system="perfect", body=body.fingerprint)
    perfect = Predictions(ids, source.parameters(), meta, camera)
    seen = projected_keypoints(source, perfect, body)
    columns = {
        "sample_id": ids, "dataset": dataset, "split": "test", "image_path": names,
        "bbox_xyxy": source.array("bbox_xyxy"), "keypoints2d": np.concatenate([seen, np.ones((len(ids), 24, 1))], -1),
    }  # fmt: skip
    records = RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint))
    records.write(folder / "records.parquet")
    perfect.write(folder / "perfect.parquet")
    return records, folder / "perfect.parquet"


def test_keypoint_ap_of_coco(hmrtk: Hmrtk, tmp_path: Path) -> None:
    names = [f"val2014/COCO_val2014_{i:012d}.jpg" for i in range(1, 7)]
    records, path = in_pictures(tmp_path, "coco", names)
    slots = [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]
    people = []
    for i, (keypoints, box) in enumerate(
        zip(records.array("keypoints2d")[:, slots], records.array("bbox_xyxy").tolist(), strict=True)
    ):
        flags = np.where(keypoints[:, 2:] > 0, 2, 0)
        points = np.concatenate([keypoints[:, :2] - 0.5, flags], axis=1)
        people.append({
            "id": i + 1, "image_id": i + 1, "category_id": 1, "iscrowd": 0, "num_keypoints": int((flags > 0).sum()),
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "area": 10_000.0,
            "keypoints": points.ravel().tolist(),
        })  # fmt: skip
    file = tmp_path / "person_keypoints_val2014.json"
    file.write_text(json.dumps({"images": [{"id": i} for i in range(1, 7)], "annotations": people}))
    found = hmrtk("evaluate", "--predictions", path, *RECORDS, "--coco", file, "--json").json
    assert found["metrics"]["ap"] == pytest.approx(100)
    assert found["metrics"]["keypoints2d"] == pytest.approx(0, abs=1e-3)
    assert f"AP: OKS by pycocotools on 6 people of {file};" in found["rules"][-1]
    assert found["protocol"] is None
    assert "mpjpe" not in found["metrics"]


def test_segmentation_of_lsp(hmrtk: Hmrtk, tmp_path: Path) -> None:
    names = ["images/im1001.jpg", "images/im1002.jpg"]
    _, path = in_pictures(tmp_path, "lsp", names)
    for i in (1, 2):
        assert cv2.imwrite(str(tmp_path / f"im100{i}_segmentation.png"), np.zeros((300, 200), np.uint8))
    found = hmrtk("evaluate", "--predictions", path, *RECORDS, "--masks", tmp_path, "--json").json
    assert 0 < found["metrics"]["foreground_accuracy"] < 100  # nobody is in these masks
    assert "part_f1" not in found["metrics"]
    assert "parts of faces by skinning" in found["rules"][-1]
    assert "ap" not in found["metrics"]


def test_dense_correspondence(hmrtk: Hmrtk, tmp_path: Path) -> None:
    records, path = in_pictures(tmp_path, "densepose_coco", ["a.jpg", "b.jpg"])
    middle = records.array("bbox_xyxy").reshape(2, 2, 2).mean(axis=1).tolist()
    marks = [{"chart": [2], "u": [0.5], "v": [0.5], "x": [x], "y": [y]} for x, y in middle]
    table = DenseTable.from_columns(records.sample_ids, {"points": marks}, {}, "marks")
    table.write(tmp_path / "marks.parquet")
    found = hmrtk("evaluate", "--predictions", path, *RECORDS, "--dense", tmp_path / "marks.parquet", "--json").json
    assert 0 <= found["metrics"]["auc_10"] <= 100
    assert found["rules"][-1].startswith("Dense: 2 marked points of 2 people, ")


def test_what_it_refuses(hmrtk: Hmrtk, failing: Failing, tmp_path: Path) -> None:
    path = predictions(tmp_path / "few.parquet", 0.0, 10)
    assert "1990 of 2000 records have no prediction" in failing("evaluate", "--predictions", path)
    call = ("evaluate", "--predictions", path, *RECORDS)
    assert "unknown protocol 'spim'; known: spin" in failing(*call, "--protocol", "spim")
    assert "has no image_path, so its mask cannot be found" in failing(*call, "--masks", tmp_path)
    done = hmrtk(*call, "--protocol", "all", "--by", "joint")
    assert done.code == 2
    assert "--protocol all compares protocols only" in done.err
    in_pictures(tmp_path, "coco", ["a/000000000001.jpg"])
    call = ("evaluate", "--predictions", tmp_path / "perfect.parquet", *RECORDS)
    assert "no row has body parameters, which protocol hmrtk needs" in failing(*call)


def test_a_limit_needs_no_predictions_beyond_it(hmrtk: Hmrtk, tmp_path: Path) -> None:
    path = predictions(tmp_path / "noisy.parquet", 0.1)
    found = hmrtk("evaluate", "--predictions", path, *RECORDS, "--limit", 7, "--json").json
    assert found["n"] == 7
