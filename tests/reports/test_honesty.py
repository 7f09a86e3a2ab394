"""What a report says of systems whose errors are known: the truth itself, a constant shift, and exchanged arms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import joint_set
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import DEFAULT

from .conftest import COUNT, Tiny, build

SHIFT_MM = 10.0
ROUNDING_MM = 0.3
"""Predicted vertices are kept in 16 bits."""

Rows = list[dict[str, Any]]


def shifted(tiny: Tiny) -> Predictions:
    """The true vertices, 10 mm to the side."""
    truth = tiny.records.parameters()
    vertices = tiny.body.pose(truth.replaced(transl=np.zeros_like(truth.transl))).vertices
    moved = (vertices + np.array([SHIFT_MM / 1000, 0, 0], np.float32)).astype(np.float16)
    metadata = PredictionsMetadata(system="shifted", body=tiny.body.fingerprint)
    return Predictions(tiny.records.sample_ids, None, metadata, vertices=moved)


def exchanged(tiny: Tiny) -> Predictions:
    """The truth with the rotations of the left and the right arm exchanged, and not mirrored."""
    truth = tiny.records.parameters()
    names = joint_set("smpl24").joints
    pose = truth.body_pose.copy()
    for part in ("shoulder", "elbow", "wrist"):
        left, right = (names.index(f"{side}_{part}") - 1 for side in ("left", "right"))
        pose[:, [left, right]] = pose[:, [right, left]]
    metadata = PredictionsMetadata(system="exchanged", body=tiny.body.fingerprint)
    return Predictions(tiny.records.sample_ids, truth.replaced(body_pose=pose), metadata)


@pytest.fixture(scope="module")
def report(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Under a protocol that moves joints to the root and leaves vertices where they are."""
    systems = {"perfect": tiny.predictions("perfect", 0.0), "shifted": shifted(tiny), "exchanged": exchanged(tiny)}
    out: Path = tmp_path_factory.mktemp("known")
    free = replace(DEFAULT, name="free", vertex_alignment="none")
    return build(tiny, out, predictions=systems, baseline="shifted", protocol=free, rarest=1)


def rows_of(report: dict[str, Any], table: str, **chosen: str) -> Rows:
    rows = report["tables"][table]["rows"]
    return [row for row in rows if all(row[key] == value for key, value in chosen.items())]


def test_a_perfect_system_has_no_error_anywhere(report: dict[str, Any]) -> None:
    for row in rows_of(report, "results", system="perfect"):
        values = [row[m] for m in ("pve", "low", "high", "mpjpe", "pa_mpjpe", "balanced", "pve_s", "pve_p")]
        assert [v for v in values if v is not None] == pytest.approx(
            [0] * (8 if row["subset"] == "Full" else 5), abs=2e-3
        )
    for table in ("errors_per_joint", "errors_per_part", "errors_per_action", "errors_per_prototype",
                  "error_over_distance", "error_over_distance_width"):  # fmt: skip
        names = [c["key"] for c in report["tables"][table]["columns"] if c["key"].endswith(" perfect")]
        found = [row[n] for row in report["tables"][table]["rows"] for n in names if not n.startswith("reduction")]
        assert found
        assert [v for v in found if v is not None] == pytest.approx([0] * sum(v is not None for v in found), abs=2e-3)
    cards = report["galleries"]["surface_errors"]["cards"]
    assert max(c["largest_mm"] for c in cards if c["system"] == "perfect") < 2e-3


def test_a_shift_of_10_mm_is_10_mm_of_vertices_and_nothing_of_joints(report: dict[str, Any]) -> None:
    for row in rows_of(report, "results", system="shifted"):
        assert row["pve"] == pytest.approx(SHIFT_MM, abs=ROUNDING_MM)
        assert (row["mpjpe"], row["pa_mpjpe"]) == pytest.approx((0, 0), abs=ROUNDING_MM)
    assert rows_of(report, "results", system="shifted")[0]["balanced"] == pytest.approx(SHIFT_MM, abs=ROUNDING_MM)
    assert rows_of(report, "results", system="shifted")[0]["pve_s"] is None  # vertices have no shape parameters
    for card in report["galleries"]["surface_errors"]["cards"]:
        if card["system"] == "shifted":
            assert card["mean_mm"] == pytest.approx(SHIFT_MM, abs=ROUNDING_MM)
            assert card["largest_mm"] < SHIFT_MM + 1
    curve = report["figures"]["error_over_distance"]["data"]["y"]["shifted"]
    assert curve == pytest.approx([SHIFT_MM] * 10, abs=ROUNDING_MM)
    gain = rows_of(report, "differences", system="perfect", subset="Full", metric="MPVPE")[0]
    assert gain["reduction"] == pytest.approx(SHIFT_MM, abs=ROUNDING_MM)
    assert gain["percent"] == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(
    ("root", "vertices", "expected"),
    [("pelvis", "root", (0, 0, 0)), ("pelvis", "none", (0, 0, SHIFT_MM)), ("none", "none", (SHIFT_MM, 0, SHIFT_MM))],
)
def test_what_theory_says_of_a_shift(tiny: Tiny, root: str, vertices: str, expected: tuple[float, ...]) -> None:
    from hmrtk.toolkit.evaluation.metrics import evaluate

    chosen: Any = replace(DEFAULT, root=root, vertex_alignment=vertices)
    found = evaluate(tiny.records, shifted(tiny), tiny.body, chosen).summary()
    assert tuple(found[m] for m in ("mpjpe", "pa_mpjpe", "pve")) == pytest.approx(expected, abs=ROUNDING_MM)


def test_exchanged_arms_show_in_the_table_of_joints(report: dict[str, Any]) -> None:
    rows = {row["joint"]: row["mpjpe exchanged"] for row in report["tables"]["errors_per_joint"]["rows"]}
    arms = [f"{side}_{part}" for side in ("left", "right") for part in ("elbow", "wrist", "hand")]
    assert min(rows[name] for name in arms) > 50
    assert max(value for name, value in rows.items() if name not in arms) < 1e-2


def test_numbers_say_what_they_were_made_from(report: dict[str, Any], tiny: Tiny) -> None:
    assert report["protocol"]["name"] == "free"
    assert "vertices not aligned" in report["protocol"]["description"]
    about = report["predictions"]["perfect"]
    assert about["fingerprint"] == tiny.predictions("perfect", 0.0).fingerprint
    assert about["measured"] == COUNT
    assert report["predictions"]["shifted"]["fingerprint"] != about["fingerprint"]
    assert report["prototypes"]["fingerprint"] == tiny.prototypes.fingerprint
    assert all("Protocol free" in report["tables"][t]["caption"] for t in ("results", "errors_per_joint", "overall"))


def test_the_papers_rows_come_with_their_data_sets_only(report: dict[str, Any]) -> None:
    assert not [name for name in report["tables"] if name.startswith("beside_")]
    section = next(s for s in report["sections"] if s["name"] == "papers")
    assert section["text"] == ["No paper reports on these data, so no published row stands beside ours."]
