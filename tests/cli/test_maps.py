"""``render-iuv`` and ``show-maps`` as a user types them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from hmrtk.toolkit.shards.iuv_set import IUVSet


def test_render_iuv_and_its_sheet(hmrtk: Callable[..., Any], tmp_path: Path) -> None:
    done = hmrtk("render-iuv", "--limit", 20, "--preview", 6, "--json")
    assert done.code == 0, done.err
    assert (done.json["rows"], done.json["made"], done.json["left_out"]) == (20, 20, 0)
    assert len(IUVSet(done.json["out"])) == 20
    assert cv2.imread(done.json["preview"]) is not None
    again = hmrtk("render-iuv", "--limit", 20, "--preview", 0)
    assert "20 of them were there already" in again.out


def test_render_iuv_of_whole_images_with_the_one_piece_atlas(hmrtk: Callable[..., Any]) -> None:
    done = hmrtk("render-iuv", "--limit", 3, "--view", "image", "--camera", "full", "--atlas", "onepiece", "--json")
    assert done.code == 0, done.err
    assert len(done.json["files"]) == 6
    iuv = cv2.imread(done.json["files"][0])
    assert set(iuv[..., 0].ravel().tolist()) == {0, 1}  # OpenCV's first channel is the chart


def test_render_iuv_refusals(failing: Callable[..., str], tmp_path: Path) -> None:
    assert "unknown atlas 'smpl'" in failing("render-iuv", "--atlas", "smpl", "--limit", 2)
    assert "no such file" in failing("render-iuv", "--atlas", "missing.npz", "--limit", 2)


def test_show_maps(hmrtk: Callable[..., Any], failing: Callable[..., str]) -> None:
    done = hmrtk("show-maps", "--rows", 2, "--limit", 50, "--json")
    assert done.code == 0, done.err
    assert len(done.json["sheets"]) == 2
    for sheet in done.json["sheets"]:
        assert cv2.imread(sheet).shape[1] > 1000
    assert "has no sample_id 'x'" in failing("show-maps", "--sample", "x", "--limit", 50)
