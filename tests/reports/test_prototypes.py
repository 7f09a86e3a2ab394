"""The page of a prototype set: what is written, what it says, that it needs nothing else, what a browser draws."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hmrtk.reports.prototypes import MapSamples, cluster_table, part_chart, show_prototypes
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, PART_GROUPS
from hmrtk.toolkit.errors import BodyMismatchError, OutputError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

PROVENANCE = {"command": "show-prototypes", "seed": 0}


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def records(body: BodyModel) -> RecordTable:
    rng = np.random.default_rng(0)
    columns = {
        "sample_id": [f"s{i:02d}" for i in range(24)],
        "dataset": "tiny",
        "split": "train",
        "global_orient": np.tile([np.pi, 0, 0], (24, 1)),
        "body_pose": rng.normal(0, 0.3, (24, 23, 3)),
        "betas": rng.normal(0, 1, (24, 10)),
    }
    return RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint))


@pytest.fixture(scope="module")
def prototypes(body: BodyModel, records: RecordTable) -> PrototypeSet:
    """Three, of 5, 19 and no samples."""
    meta = {"body": body.fingerprint, "method": "p3dh", "samples": 24, "weights": {**P3DH_WEIGHTS, "limbs": 7.0}}
    counts, distance = np.array([5, 19, 0]), np.array([0.1, 0.2, 0.0])
    one = BodyParameters.of([[np.pi, 0, 0]], None)
    return PrototypeSet.of(records.parameters()[[0, 5, 9]], meta, counts, distance, one)


@pytest.fixture(scope="module")
def page(
    prototypes: PrototypeSet, body: BodyModel, records: RecordTable, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("page") / "out"
    samples = MapSamples(records, 20, 1)
    return out, show_prototypes(prototypes, body, out, samples=samples, provenance=PROVENANCE)


def test_rows_follow_cluster_size_and_say_the_set_s_numbers(prototypes: PrototypeSet, body: BodyModel) -> None:
    rows = cluster_table(prototypes, body).rows
    assert [r["prototype"] for r in rows] == [1, 0, 2]
    assert [r["samples"] for r in rows] == [19, 5, 0]
    assert rows[0]["share"] == pytest.approx(100 * 19 / 24)
    assert rows[0]["assigned"] == pytest.approx(200)
    assert rows[2]["assigned"] is None
    posed = body.pose(prototypes.parameters).vertices
    mean = body.pose(prototypes.singular).vertices
    expected = 1000 * np.linalg.norm(posed[0] - mean[0], axis=1).mean()
    assert rows[1]["singular"] == pytest.approx(expected, rel=1e-5)


def test_files_and_report(page: tuple[Path, dict[str, Any]]) -> None:
    out, report = page
    written = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert written == {
        "index.html", "report.json", "tables/prototypes.csv", "tables/prototypes.md", "tables/prototypes.tex",
        "figures/prototype_gallery.png", "figures/cluster_map.png", "figures/cluster_map.svg",
        "figures/part_groups.png", "figures/part_groups.svg",
    }  # fmt: skip
    assert json.loads((out / "report.json").read_text()) == report
    for name in ("prototype_gallery", "cluster_map", "part_groups"):
        assert cv2.imread(str(out / "figures" / f"{name}.png")).std() > 5
    drawn = report["figures"]["cluster_map"]["data"]
    assert len(drawn["x"]) == len(drawn["label"]) == len(set(drawn["sample_id"])) == 20
    assert len(drawn["prototype_x"]) == 3
    assert report["figures"]["part_groups"]["data"]["limbs"]["weight"] == 7


def test_page_needs_nothing_else_and_shows_every_prototype(page: tuple[Path, dict[str, Any]]) -> None:
    html = (page[0] / "index.html").read_text()
    markup = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    loaded = re.findall(r"""(?:src|href|srcset|url)\s*[=(]\s*["']?([^"')\s>]+)""", markup)
    assert loaded
    assert all(place.startswith(("data:", "#")) for place in loaded)
    assert "http" not in html
    assert [c["title"] for c in page[1]["galleries"]["prototype_gallery"]["cards"]] == [
        "Prototype 1", "Prototype 0", "Prototype 2", "Singular prototype",
    ]  # fmt: skip
    for text in (
        "19 (79.2 %)",
        "200 mm",
        "20 of 24 samples (tiny)",
        "19 samples (79.2 %), on average 200 mm from it",
        "weight 7",
    ):
        assert text in html
    payload = re.search(r'<script type="application/json">(.*?)</script>', html, re.S)
    assert payload
    assert len(json.loads(payload[1])["meshes"]) == 4


def test_without_a_map(prototypes: PrototypeSet, body: BodyModel, tmp_path: Path) -> None:
    report = show_prototypes(prototypes, body, tmp_path, samples=None, provenance=PROVENANCE)
    assert list(report["figures"]) == ["part_groups"]
    assert not (tmp_path / "figures/cluster_map.png").exists()


def test_one_prototype_that_knows_no_samples(prototypes: PrototypeSet, body: BodyModel, tmp_path: Path) -> None:
    report = show_prototypes(prototypes.singular_set(), body, tmp_path, samples=None, provenance=PROVENANCE)
    assert report["title"] == "One prototype"
    assert [c["title"] for c in report["galleries"]["prototype_gallery"]["cards"]] == ["Prototype 0"]
    assert [fact["value"] for fact in report["facts"]] == ["1"]


def test_same_input_gives_the_same_page(prototypes: PrototypeSet, body: BodyModel, tmp_path: Path) -> None:
    for name in "ab":
        show_prototypes(prototypes, body, tmp_path / name, samples=None, provenance=PROVENANCE)
    assert (tmp_path / "a/index.html").read_bytes() == (tmp_path / "b/index.html").read_bytes()


def test_part_groups_are_all_coloured_and_say_whether_they_count(prototypes: PrototypeSet, body: BodyModel) -> None:
    chart = part_chart(prototypes, body)
    assert sum(group["vertices"] for group in chart.data.values()) == len(body.v_template)
    assert set(chart.data) == set(PART_GROUPS)
    assert "does not use them" not in chart.caption
    naive = replace(prototypes, metadata={**prototypes.metadata, "method": "naive"})
    assert "Method naive does not use them" in part_chart(naive, body).caption


def test_another_body_and_an_unwritable_folder(prototypes: PrototypeSet, body: BodyModel, tmp_path: Path) -> None:
    strange = replace(prototypes, metadata={**prototypes.metadata, "body": "f" * 16})
    with pytest.raises(BodyMismatchError):
        show_prototypes(strange, body, tmp_path / "x", samples=None, provenance=PROVENANCE)
    assert not (tmp_path / "x").exists()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        show_prototypes(prototypes, body, tmp_path / "file", samples=None, provenance=PROVENANCE)


# -- in a browser -----------------------------------------------------------------------------------------------------

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
GRAPHICS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_GRAPHICS = ("--disable-gpu", "--disable-3d-apis")


def _screenshot(page: Path, place: Path, script: str, *options: str) -> tuple[np.ndarray, str]:
    """The canvas of the page after ``script``, filling the window, and what the console said."""
    fill = "document.querySelector('.bench').style.cssText='position:fixed;inset:0;height:auto;display:block';"
    fill += (
        "document.querySelector('.stage').style.height='100%';document.querySelector('.thumbs').style.display='none';"
    )
    html = page.read_text().replace("</body>", f"<script>{fill}{script}</script></body>")
    (place / "page.html").write_text(html)
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--hide-scrollbars", "--enable-logging=stderr", *options,
        f"--user-data-dir={place / 'profile'}", "--window-size=600,700", f"--screenshot={place / 'shot.png'}",
        (place / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return cv2.imread(str(place / "shot.png")).astype(np.int64), console


def _blue(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0] > picture[..., 2] + 25


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_upright_lit_bodies_that_turn(page: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    index = page[0] / "index.html"
    choose = "document.querySelectorAll('button.card')[3].click();"  # the singular prototype: a plain T-pose
    front, console = _screenshot(index, tmp_path, choose, *GRAPHICS)
    assert console == ""
    rows = np.flatnonzero(_blue(front).any(axis=1))
    wide = _blue(front).sum(axis=1)[rows[0] : rows[-1]]
    assert np.argmax(wide) < 0.35 * len(wide)  # the arms are above the middle: not upside down
    light = front.mean(axis=-1)
    middle = 300
    column = np.flatnonzero(_blue(front)[:, middle])
    crown, under = light[column[:4], middle].mean(), light[column[-4:], middle].mean()
    assert crown > under  # lit from above and outside
    side, _ = _screenshot(index, tmp_path, choose + "document.querySelectorAll('.tools button')[2].click();", *GRAPHICS)
    assert np.ptp(np.flatnonzero(_blue(side).any(axis=0))) < 0.5 * np.ptp(np.flatnonzero(_blue(front).any(axis=0)))


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_without_webgl_the_picture_is_shown(page: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    say = "console.log(document.querySelector('.chosen').textContent);"
    picture, console = _screenshot(page[0] / "index.html", tmp_path, say, *NO_GRAPHICS)
    assert _blue(picture).sum() > 5000
    assert "picture only: no WebGL here" in console
    assert "Prototype 1" in console
