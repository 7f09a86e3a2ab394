"""The page in a browser, as wide as a desk and as a phone: no complaint, nothing too wide, and tables sort."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PROBE = """
addEventListener("load", () => {
  const images = [...document.images];
  const table = document.querySelector('[aria-label="Errors on all samples and on the tail"] table');
  const heads = [...table.tHead.rows[0].cells].map(cell => cell.innerText.trim());
  const place = heads.findIndex(head => head.startsWith("MPVPE"));
  const column = () => [...table.tBodies[0].rows].map(row => Number(row.cells[place].dataset.v));
  const button = table.tHead.rows[0].cells[place].querySelector("button");
  const before = column();
  button.click();
  const falling = column();
  button.click();
  const found = {
    width: innerWidth, wide: document.documentElement.scrollWidth,
    broken: images.filter(image => !image.naturalWidth).length, images: images.length,
    silent: images.filter(image => !image.alt).length,
    unnamed: [...document.querySelectorAll("figure.chart svg")].filter(svg => !svg.getAttribute("aria-label")).length,
    before, falling, rising: column(), sort: table.tHead.rows[0].cells[place].getAttribute("aria-sort"),
    boxes: [...document.querySelectorAll(".scroll")].filter(box => box.scrollWidth > box.clientWidth).length,
    tight: [...document.querySelectorAll(".card")].filter(card => card.scrollWidth > card.clientWidth).length,
  };
  window.found = found;
});
"""

FRAME = """
<!doctype html><title>frame</title>
<iframe style="border: 0; width: {width}px; height: 900px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const note = document.body.appendChild(document.createElement("pre"));
  note.id = "probe";
  note.textContent = JSON.stringify(frames[0].found);
}});
</script>
"""
"""No window of a headless browser is narrower than 500 px, so the page is shown in a frame."""


def opened(page: Path, place: Path, width: int) -> tuple[dict[str, Any], str]:
    """What the probe found in the page, and what the console said."""
    html = page.read_text().replace("</body>", f"<script>{PROBE}</script></body>")
    html = html.replace(' loading="lazy"', "")  # so that all are there at "load", seen or not
    (place / "page.html").write_text(FRAME.format(width=width, page=escape(html)))
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
        "--hide-scrollbars", f"--user-data-dir={place / 'profile'}", "--window-size=1400,1000",
        (place / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    probe = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert probe is not None, console
    return json.loads(unescape(probe[1])), console


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page(full_report: tuple[Path, dict[str, Any]], tmp_path: Path, width: int) -> None:
    found, console = opened(full_report[0] / "index.html", tmp_path, width)
    assert console == ""
    assert found["width"] == width
    assert found["wide"] <= width  # tables scroll inside their boxes
    assert found["tight"] == 0
    assert (found["broken"], found["silent"], found["unnamed"]) == (0, 0, 0)
    assert found["images"] > 30
    assert sorted(found["before"], reverse=True) == found["falling"] != found["before"]
    assert found["rising"] == found["falling"][::-1]
    assert found["sort"] == "ascending"
    if width < 500:
        assert found["boxes"] > 5
