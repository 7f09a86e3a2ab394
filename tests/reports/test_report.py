"""The whole report on a tiny set: what is written, what it says, that it needs nothing else, and bad input."""

from __future__ import annotations

import base64
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hmrtk.reports.distances import saved
from hmrtk.reports.error_sections import Extras, error_sections
from hmrtk.toolkit.errors import BodyMismatchError, InputError, OutputError, UnknownNameError
from hmrtk.toolkit.evaluation.metrics import evaluate
from hmrtk.toolkit.evaluation.protocols import protocol
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.records.table import RecordTable

from .conftest import COUNT, PROVENANCE, Tiny, build, measurement


class _Page(HTMLParser):
    """Collects what a page would load, its text, and whether its tags are balanced."""

    VOID = ("meta", "img", "br", "path", "use")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in _numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in _numbers(v)]
    return [value] if isinstance(value, int | float) else []


@pytest.mark.parametrize("name", ["plain_report", "full_report"])
def test_page_needs_nothing_else(name: str, request: pytest.FixtureRequest) -> None:
    html = (request.getfixturevalue(name)[0] / "index.html").read_text()
    page = _Page(html)
    assert page.open == []
    assert page.loads
    assert all(load.startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,")) for load in page.loads)
    assert not re.search(r"https?:|//cdn|@import|<link", html)
    assert not re.search(r"url\((?!#)", html)


@pytest.mark.parametrize("name", ["plain_report", "full_report"])
def test_json_numbers_are_finite_and_saved(name: str, request: pytest.FixtureRequest) -> None:
    out, report = request.getfixturevalue(name)
    text = (out / "report.json").read_text()
    assert json.loads(text) == report
    assert all(math.isfinite(n) for n in _numbers(report))
    assert "NaN" not in text
    assert report["protocol"]["name"] == "hmrtk"
    assert report["samples"] == COUNT
    assert report["provenance"] == PROVENANCE


@pytest.mark.parametrize("name", ["plain_report", "full_report"])
def test_every_table_and_picture_is_a_file(name: str, request: pytest.FixtureRequest) -> None:
    out, report = request.getfixturevalue(name)
    for table in report["tables"]:
        assert (out / "tables" / f"{table}.csv").read_text().count("\n") == 1 + len(report["tables"][table]["rows"])
        assert (out / "tables" / f"{table}.md").is_file()
        assert (out / "tables" / f"{table}.tex").read_text().count("\\toprule") == 1
    for picture in [*report["figures"], *report["galleries"]]:
        assert cv2.imread(str(out / "figures" / f"{picture}.png")) is not None
    for chart in report["figures"]:
        assert (out / "figures" / f"{chart}.svg").is_file()


@pytest.mark.parametrize("name", ["plain_report", "full_report"])
def test_everything_on_the_page_is_in_the_json(name: str, request: pytest.FixtureRequest) -> None:
    out, report = request.getfixturevalue(name)
    text = json.dumps(report, ensure_ascii=False)
    cells = [v for table in report["tables"].values() for row in table["rows"] for v in row.values()]
    shown = [json.dumps(v, ensure_ascii=False)[1:-1] for v in cells if isinstance(v, str)]
    assert all(value in text for value in shown)
    words = " ".join(_Page((out / "index.html").read_text()).words)
    for table in report["tables"].values():
        assert table["caption"] in words
    for section in report["sections"]:
        assert section["title"] in words
        assert all(line in words for line in section["text"])
    for gallery in report["galleries"].values():
        assert all(card["title"] in words for card in gallery["cards"])


def test_tails_by_hand(plain_report: tuple[Path, dict[str, Any]]) -> None:
    rows = plain_report[1]["tables"]["tails"]["rows"]
    assert [(r["subset"], r["samples"]) for r in rows] == [("Full", 20), ("T-25%", 5), ("T-10%", 2)]
    # distances are 100, 150, …, 1050 mm
    assert [r["threshold"] for r in rows] == pytest.approx([100, 850, 1000], rel=1e-6)
    assert [r["singular"] for r in rows] == pytest.approx([575, 950, 1025], rel=1e-6)
    assert [r["assigned"] for r in rows] == pytest.approx([287.5, 475, 512.5], rel=1e-6)
    assert [r["reduction"] for r in rows] == pytest.approx([50, 50, 50], rel=1e-5)
    assert [r["prototypes"] for r in rows] == [2, 2, 2]


def test_actions_by_hand(plain_report: tuple[Path, dict[str, Any]]) -> None:
    rows = {r["action"]: r for r in plain_report[1]["tables"]["actions"]["rows"]}
    assert {name: r["samples"] for name, r in rows.items()} == {"walk": 8, "run": 4, "<script>": 4, "(none)": 4}
    assert rows["walk"]["share T-25%"] == pytest.approx(40)  # rows 15..19: walk walk run <script> (none)
    assert rows["walk"]["ratio T-25%"] == pytest.approx(1)
    assert rows["<script>"]["share T-10%"] == pytest.approx(50)
    assert rows["walk"]["share T-10%"] == 0
    assert sum(r["share T-10%"] for r in rows.values()) == pytest.approx(100)


def test_rarest_and_prototypes_by_hand(plain_report: tuple[Path, dict[str, Any]]) -> None:
    report = plain_report[1]
    assert [r["sample_id"] for r in report["tables"]["rarest"]["rows"]] == ["s19", "s18", "s17", "s16"]
    clusters = report["tables"]["prototypes"]["rows"]
    assert [(r["prototype"], r["samples"], r["trained"]) for r in clusters] == [(0, 10, 7), (1, 10, 9), (2, 0, 4)]
    assert clusters[2]["assigned"] is None
    assert [c["prototype"] for c in report["galleries"]["prototype_gallery"]["cards"]] == [0, 1, 2]


def test_names_are_escaped(plain_report: tuple[Path, dict[str, Any]]) -> None:
    html = (plain_report[0] / "index.html").read_text()
    assert html.count("<script>") == 1
    assert "&lt;script&gt;" in html


def test_pictures_show_bodies(plain_report: tuple[Path, dict[str, Any]]) -> None:
    html = (plain_report[0] / "index.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(pictures) == 8 + 3 + 2 * 4
    for data in pictures:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (192, 192, 4)
        assert 0.02 < (picture[..., 3] > 128).mean() < 0.6


def test_errors_equal_the_metrics(full_report: tuple[Path, dict[str, Any]], tiny: Tiny) -> None:
    rows = {(r["system"], r["subset"]): r for r in full_report[1]["tables"]["results"]["rows"]}
    for name, noise in (("base", 0.3), ("better", 0.1)):
        errors = evaluate(tiny.records, tiny.predictions(name, noise), tiny.body)
        for subset, tail in (("Full", slice(None)), ("T-25%", slice(15, None)), ("T-10%", slice(18, None))):
            row = rows[name, subset]
            assert row["pve"] == pytest.approx(errors.pve[tail].mean())
            assert row["mpjpe"] == pytest.approx(errors.mpjpe[tail].mean())
            assert row["pa_mpjpe"] == pytest.approx(errors.pa_mpjpe[tail].mean())
            assert row["low"] <= row["pve"] <= row["high"]


def test_reduction_against_the_baseline(full_report: tuple[Path, dict[str, Any]]) -> None:
    rows = full_report[1]["tables"]["differences"]["rows"]
    assert {r["system"] for r in rows} == {"better"}
    subsets = ["Full", "T-25%", "T-10%", "T-25% by pose", "T-10% by pose"]
    assert [r["subset"] for r in rows] == [subset for subset in subsets for _ in range(3)]
    for row in rows:
        assert row["reduction"] == pytest.approx(row["baseline"] - row["value"])
        assert row["low"] > 0
        # 4 sequences have 16 patterns of signs, so p is never below 1/8 (both ends): nothing is significant
        assert row["p"] >= 0.125
        assert row["verdict"] == "not significant"
    for equal in ("", "_width"):
        curve = full_report[1]["figures"][f"error_reduction{equal}"]["data"]["y"]
        assert list(curve) == ["better"]
        assert min(curve["better"]) > 0
        assert len(curve["better"]) == 10


def test_systems_without_a_baseline_are_not_compared(tiny: Tiny) -> None:
    systems = {name: tiny.predictions(name, noise) for name, noise in (("a", 0.1), ("b", 0.2))}
    measured = measurement(tiny, systems)
    sections = error_sections(measured, tiny.body, Extras(tiny.prototypes, [19]))
    assert "No baseline was named" in " ".join(sections[0].text)
    names = [block.name for section in sections for block in section.blocks]
    assert "differences" not in names
    assert "error_reduction" not in names
    assert {"error_over_distance", "error_over_distance_width", "results"} <= set(names)


def test_one_sample_that_is_the_prototype_itself(tiny: Tiny, tmp_path: Path) -> None:
    zero = np.zeros(1, np.float32)
    labels = Labels(np.zeros(1, np.int32), zero, zero, np.zeros(1))
    one = {**_columns(tiny.records.head(1)), "action": ["stand"]}
    records = RecordTable.from_columns(one, tiny.records.metadata)
    systems = {name: tiny.predictions(name, 0.0).take(np.array([0])) for name in ("a", "b")}
    report = build(tiny, tmp_path, records=records, labels=labels, predictions=systems, baseline="a")
    assert [row["samples"] for row in report["tables"]["tails"]["rows"]] == [1, 1, 1]
    assert report["tables"]["tails"]["rows"][0]["reduction"] is None
    assert all(math.isfinite(n) for n in _numbers(report))


def test_savings_in_words() -> None:
    assert [saved(*pair) for pair in ((200, 100), (100, 110), (0, 5), (3, 3))] == [
        "50 % less",
        "10 % more",
        "no less",
        "no less",
    ]


def test_same_input_gives_the_same_bytes(plain_report: tuple[Path, dict[str, Any]], tiny: Tiny, tmp_path: Path) -> None:
    build(tiny, tmp_path)
    for name in ("index.html", "report.json", "figures/prototype_gallery.png"):
        assert (tmp_path / name).read_bytes() == (plain_report[0] / name).read_bytes()


def test_progress_is_told(tiny: Tiny, tmp_path: Path) -> None:
    stages: list[str] = []
    build(tiny, tmp_path, progress=lambda stage, done, total, note="": stages.append(stage))
    assert {"draw the distances", "draw the prototypes", "draw the rarest samples"} <= set(stages)


def test_reports_import_no_torch() -> None:
    code = (
        "import sys, hmrtk.reports.tail; assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bad_input_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "report"
    systems = {"ours": tiny.predictions("ours", 0.1)}
    with pytest.raises(UnknownNameError, match="unknown baseline 'spin'; known: ours"):
        build(tiny, out, predictions=systems, baseline="spin")
    with pytest.raises(InputError, match=r"labels: expected one per record \(20\), got 5"):
        build(tiny, out, labels=_head(tiny.labels, 5))
    with pytest.raises(InputError, match="labels: name prototype 7, but there are 3"):
        build(tiny, out, labels=replace(tiny.labels, label=np.full(COUNT, 7, np.int32)))
    with pytest.raises(InputError, match="expected one singular prototype, got 3"):
        build(tiny, out, singular=tiny.prototypes)
    with pytest.raises(InputError, match="tail: expected a percentage above 0 and up to 100, got 200"):
        build(tiny, out, tails=(200,))
    with pytest.raises(InputError, match="tails: expected at least one percentage"):
        build(tiny, out, tails=())
    with pytest.raises(InputError, match="rarest: expected at least 1, got 0"):
        build(tiny, out, rarest=0)
    with pytest.raises(InputError, match="10 of 20 records have no prediction"):
        build(tiny, out, predictions={"ours": systems["ours"].take(np.arange(10))})
    gendered = RecordTable.from_columns({**_columns(tiny.records), "gender": "male"}, tiny.records.metadata)
    with pytest.raises(InputError, match="protocol spin: needs the male body"):
        build(tiny, out, records=gendered, predictions=systems, protocol=protocol("spin"))
    foreign = RecordTable(tiny.records.table, replace(tiny.records.metadata, body="other"))
    with pytest.raises(BodyMismatchError, match="records: was made with body"):
        build(tiny, out, records=foreign)
    assert not out.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        build(tiny, tmp_path / "file")


def _head(labels: Any, n: int) -> Any:
    return replace(labels, **{f: getattr(labels, f)[:n] for f in labels.__dataclass_fields__})


def _columns(records: RecordTable) -> dict[str, Any]:
    names = ("sample_id", "dataset", "split", "global_orient", "body_pose", "betas")
    return {name: records.array(name) for name in names}
