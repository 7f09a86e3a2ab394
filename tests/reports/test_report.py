"""The whole report on a tiny set: what is written, what it says, that it needs nothing else, and bad input."""

from __future__ import annotations

import base64
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hmrtk.reports.distances import saved
from hmrtk.reports.tail import build_tail_report
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, OutputError, UnknownNameError
from hmrtk.toolkit.evaluation.metrics import evaluate
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import protocol
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

PROVENANCE = {"command": "tail-report", "seed": 0}
COUNT = 20
ACTIONS = ("walk", "walk", "run", "<script>", None)


@dataclass(frozen=True, eq=False)
class Tiny:
    """What ``build_tail_report`` takes."""

    records: RecordTable
    prototypes: PrototypeSet
    singular: PrototypeSet
    labels: Labels
    body: BodyModel

    def predictions(self, name: str, noise: float) -> Predictions:
        """The truth with Gaussian noise (radians) on every joint."""
        truth = self.records.parameters()
        rng = np.random.default_rng(9)
        pose = truth.body_pose + noise * rng.normal(size=truth.body_pose.shape)
        metadata = PredictionsMetadata(system=name, body=self.body.fingerprint)
        return Predictions(self.records.sample_ids, truth.replaced(body_pose=pose), metadata)


def tiny_records(body: BodyModel, dataset: str = "tiny") -> RecordTable:
    rng = np.random.default_rng(0)
    orient = np.tile([np.pi, 0, 0], (COUNT, 1)) + rng.normal(0, 0.1, (COUNT, 3))
    columns = {
        "sample_id": [f"s{i:02d}" for i in range(COUNT)],
        "dataset": dataset,
        "split": "test",
        "action": [ACTIONS[i % 5] for i in range(COUNT)],
        "sequence": [f"take{i % 4}" for i in range(COUNT)],
        "global_orient": orient,
        "body_pose": rng.normal(0, 0.3, (COUNT, 23, 3)),
        "betas": rng.normal(0, 1, (COUNT, 10)),
    }
    return RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint))


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="session")
def tiny(body: BodyModel) -> Tiny:
    records = tiny_records(body)
    parameters = records.parameters()
    meta = {"body": body.fingerprint, "method": "p3dh"}
    one = BodyParameters.of([[np.pi, 0, 0]], None)
    prototypes = PrototypeSet.of(parameters[[0, 5, 9]], meta, counts=np.array([7, 9, 4]), singular=one)
    label = np.array([i % 2 for i in range(COUNT)], np.int32)  # prototype 2 stays empty
    singular = np.linspace(0.1, 1.05, COUNT).astype(np.float32)
    labels = Labels(label, (singular / 2).astype(np.float32), singular, np.ones(COUNT))
    return Tiny(records, prototypes, PrototypeSet.of(one, {**meta, "method": "mean"}), labels, body)


def _build(tiny: Tiny, out: Path, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"rarest": 4, "provenance": PROVENANCE, "tails": (10, 25), **changes}
    records = options.pop("records", tiny.records)
    labels = options.pop("labels", tiny.labels)
    singular = options.pop("singular", tiny.singular)
    return build_tail_report(records, tiny.prototypes, singular, labels, tiny.body, out, **options)


@pytest.fixture(scope="session")
def plain_report(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("plain") / "report"
    return out, _build(tiny, out)


@pytest.fixture(scope="session")
def full_report(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("full") / "report"
    systems = {"base": tiny.predictions("base", 0.3), "better": tiny.predictions("better", 0.1)}
    return out, _build(tiny, out, predictions=systems, baseline="base")


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
    assert all(load.startswith(("#", "data:image/png;base64,")) for load in page.loads)
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
    assert [r["system"] for r in rows] == ["better"] * 3
    for row in rows:
        assert row["reduction"] == pytest.approx(row["baseline"] - row["pve"])
        assert row["low"] > 0
    curve = full_report[1]["figures"]["error_reduction"]["data"]["y"]
    assert list(curve) == ["better"]
    assert min(curve["better"]) > 0
    assert len(curve["better"]) == 10


def test_perfect_predictions_have_no_error(tiny: Tiny, tmp_path: Path) -> None:
    report = _build(tiny, tmp_path, predictions={"oracle": tiny.predictions("oracle", 0.0)})
    row = report["tables"]["results"]["rows"][0]
    assert (row["pve"], row["mpjpe"], row["pa_mpjpe"]) == pytest.approx((0, 0, 0), abs=1e-3)
    assert "differences" not in report["tables"]


def test_published_rows_stand_beside_measured_ones_and_say_so(tiny: Tiny, tmp_path: Path) -> None:
    records = tiny_records(tiny.body, "3dpw")
    report = _build(tiny, tmp_path, records=records, tails=(5, 10), predictions={"ours": tiny.predictions("ours", 0.1)})
    rows = report["tables"]["results"]["rows"]
    published = {(r["system"], r["subset"]): r for r in rows if r["source"] == "published: PM-Net"}
    assert published["PM-Net", "T-5%"]["pve"] == 124.9
    assert published["SPIN", "Full"]["pa_mpjpe"] == 60.2
    assert [r["system"] for r in rows if r["source"] == "measured"] == ["ours"] * 3
    assert 'class="published"' in (tmp_path / "index.html").read_text()


def test_one_sample_that_is_the_prototype_itself(tiny: Tiny, tmp_path: Path) -> None:
    zero = np.zeros(1, np.float32)
    labels = Labels(np.zeros(1, np.int32), zero, zero, np.zeros(1))
    one = {**_columns(tiny.records.head(1)), "action": ["stand"]}
    records = RecordTable.from_columns(one, tiny.records.metadata)
    systems = {name: tiny.predictions(name, 0.0).take(np.array([0])) for name in ("a", "b")}
    report = _build(tiny, tmp_path, records=records, labels=labels, predictions=systems, baseline="a")
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
    _build(tiny, tmp_path)
    for name in ("index.html", "report.json", "figures/prototype_gallery.png"):
        assert (tmp_path / name).read_bytes() == (plain_report[0] / name).read_bytes()


def test_progress_is_told(tiny: Tiny, tmp_path: Path) -> None:
    stages: list[str] = []
    _build(tiny, tmp_path, progress=lambda stage, done, total, note="": stages.append(stage))
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
        _build(tiny, out, predictions=systems, baseline="spin")
    with pytest.raises(InputError, match=r"labels: expected one per record \(20\), got 5"):
        _build(tiny, out, labels=_head(tiny.labels, 5))
    with pytest.raises(InputError, match="labels: name prototype 7, but there are 3"):
        _build(tiny, out, labels=replace(tiny.labels, label=np.full(COUNT, 7, np.int32)))
    with pytest.raises(InputError, match="expected one singular prototype, got 3"):
        _build(tiny, out, singular=tiny.prototypes)
    with pytest.raises(InputError, match="tail: expected a percentage above 0 and up to 100, got 200"):
        _build(tiny, out, tails=(200,))
    with pytest.raises(InputError, match="tails: expected at least one percentage"):
        _build(tiny, out, tails=())
    with pytest.raises(InputError, match="rarest: expected at least 1, got 0"):
        _build(tiny, out, rarest=0)
    with pytest.raises(InputError, match="10 of 20 records have no prediction"):
        _build(tiny, out, predictions={"ours": systems["ours"].take(np.arange(10))})
    gendered = RecordTable.from_columns({**_columns(tiny.records), "gender": "male"}, tiny.records.metadata)
    with pytest.raises(InputError, match="protocol spin: needs the male body"):
        _build(tiny, out, records=gendered, predictions=systems, protocol=protocol("spin"))
    foreign = RecordTable(tiny.records.table, replace(tiny.records.metadata, body="other"))
    with pytest.raises(BodyMismatchError, match="records: was made with body"):
        _build(tiny, out, records=foreign)
    assert not out.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        _build(tiny, tmp_path / "file")


def _head(labels: Any, n: int) -> Any:
    return replace(labels, **{f: getattr(labels, f)[:n] for f in labels.__dataclass_fields__})


def _columns(records: RecordTable) -> dict[str, Any]:
    names = ("sample_id", "dataset", "split", "global_orient", "body_pose", "betas")
    return {name: records.array(name) for name in names}
