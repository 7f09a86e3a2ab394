"""Draw the pictures of the documentation: ``python docs/draw.py`` writes them beside this file.

Numbers in the pictures (box expansion, region side, focal length) are read from the package, not typed here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.geometry.camera import CROP_SIZE, FOCAL_LENGTH, crop_camera_translation, project_crop_camera
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.shards.panels import MapPanels, chosen_rows
from hmrtk.toolkit.sources.embedded import embedded_records

INK, BLUE, RED, GREEN, GREY = "#222222", "#2266bb", "#c0392b", "#2e8b57", "#8a8a8a"
EXPANSION = 1.2
REGION = 1.8


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, label: str = "") -> None:
    """An arrow with its label at the tip."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color=colour, lw=1.8))
    if label:
        axes.annotate(label, end, (6, 0), textcoords="offset points", color=colour, ha="left", va="center")


def bare(axes: Axes, title: str) -> None:
    """No ticks, equal units, a title."""
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(title, fontsize=10.5, color=INK, pad=14)


def draw_frames(out: Path) -> None:
    """The body frame, the same body in the camera frame, and the picture the camera takes."""
    body = load_body()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 5.2))
    rest = body.pose(BodyParameters.zeros(1)).vertices[0]
    left.scatter(rest[:, 0], rest[:, 1], s=0.4, c=GREY)
    arrow(left, (0, 0), (0.95, 0), RED, "x (person's left)")
    arrow(left, (0, 0), (0, 0.95), GREEN, "y (up)")
    left.plot(0, 0, "o", c=BLUE, ms=7)
    left.text(0.05, -0.12, "z towards you", color=BLUE)
    bare(left, "Body frame (T-pose, all rotations 0)")

    facing = BodyParameters.of([[np.pi, 0, 0]], np.zeros((1, 23, 3)))
    turned = body.pose(facing).vertices[0]
    middle.scatter(turned[:, 0], turned[:, 1], s=0.4, c=GREY)
    arrow(middle, (0, 0), (0.95, 0), RED, "x (right)")
    arrow(middle, (0, 0), (0, 0.95), GREEN, "y (down)")
    middle.plot(0, 0, "x", c=BLUE, ms=8)
    middle.text(0.05, -0.12, "z away from you", color=BLUE)
    middle.invert_yaxis()
    bare(middle, "Camera frame: global_orient = (π, 0, 0)\nan upright person facing the camera")

    camera = np.array([0.9, 0.0, 0.3])
    pixels = project_crop_camera(turned[None], camera[None])[0]
    right.add_patch(Rectangle((0, 0), CROP_SIZE, CROP_SIZE, fill=False, ec=INK))
    right.scatter(pixels[:, 0], pixels[:, 1], s=0.4, c=GREY)
    depth = crop_camera_translation(camera)[2]
    right.text(
        5,
        6,
        f"crop camera (s, tx, ty) = (0.9, 0, 0.3)\nfocal {FOCAL_LENGTH:.0f} px, t_z = {depth:.1f} m",
        fontsize=8,
        va="top",
    )
    right.set_xlim(-8, CROP_SIZE + 8)
    right.set_ylim(CROP_SIZE + 8, -8)
    bare(right, f"Crop, {CROP_SIZE} px: column to the right, row down")
    figure.tight_layout()
    figure.savefig(out / "frames.png", dpi=110)
    plt.close(figure)


def draw_crop(out: Path) -> None:
    """Tight box, crop box and region of one person in an image."""
    figure, axes = plt.subplots(figsize=(7.2, 6))
    box = np.array([250.0, 120, 370, 400])
    center, side = bbox_to_square(box, EXPANSION)
    axes.add_patch(Rectangle((0, 0), 640, 480, fill=False, ec=INK))
    axes.text(6, 20, "full image, px", fontsize=9)
    for width, colour, label in (
        (None, RED, "bbox_xyxy (tight)"),
        (float(side), BLUE, f"crop box: side b = {EXPANSION} × longer side → {CROP_SIZE} px"),
        (float(side) * REGION, GREEN, f"region: side {REGION} b → 400 px in the shard"),
    ):
        corner = box[:2] if width is None else center - width / 2
        extent = box[2:] - box[:2] if width is None else np.array([width, width])
        axes.add_patch(Rectangle(corner, *extent, fill=False, ec=colour, lw=2))
        axes.text(corner[0], corner[1] - 6, label, color=colour, fontsize=9)
    axes.plot(*center, "+", c=INK, ms=12)
    axes.set_xlim(-20, 680)
    axes.set_ylim(620, -120)
    bare(axes, "One centre for all boxes; outside the image a region is black")
    figure.tight_layout()
    figure.savefig(out / "crop.png", dpi=110)
    plt.close(figure)


def draw_pixels(out: Path) -> None:
    """Where pixel centres are."""
    figure, axes = plt.subplots(figsize=(6.4, 4))
    for row in range(3):
        for column in range(4):
            axes.add_patch(Rectangle((column, row), 1, 1, fill=False, ec=GREY))
            axes.plot(column + 0.5, row + 0.5, ".", c=BLUE)
            axes.text(column + 0.5, row + 0.82, f"[{row}, {column}]", ha="center", fontsize=8, color=GREY)
    axes.text(2.5, 0.3, "(2.5, 0.5)", ha="center", fontsize=9, color=BLUE)
    arrow(axes, (0, 0), (4.5, 0), RED, "x")
    arrow(axes, (0, 0), (0, 3.5), GREEN, "y")
    axes.set_xlim(-0.4, 4.9)
    axes.set_ylim(3.8, -0.4)
    bare(axes, "Pixel [row, column] has its centre at (column + ½, row + ½)")
    figure.tight_layout()
    figure.savefig(out / "pixels.png", dpi=110)
    plt.close(figure)


def draw_rot6d(out: Path) -> None:
    """Which entries of the rotation matrix the three 6D layouts hold, and in which order."""
    layouts = {
        "rot6d (interleaved columns)\nSPIN, DaNet, PyMAF, hmrtk": [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)],
        "rot6d_columns\n4D-Humans": [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)],
        "rot6d_rows\nPyTorch3D": [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    }
    figure, panels = plt.subplots(1, 3, figsize=(9.6, 4))
    for axes, (name, order) in zip(panels, layouts.items(), strict=True):
        for row in range(3):
            for column in range(3):
                kept = (row, column) in order
                axes.add_patch(Rectangle((column, row), 1, 1, fc="#dce8f7" if kept else "white", ec=GREY))
                text = str(order.index((row, column))) if kept else "·"
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=13, color=INK)
        axes.set_xlim(-0.1, 3.1)
        axes.set_ylim(3.1, -0.1)
        bare(axes, name)
    figure.text(0.5, 0.02, "Entry i of the 6-vector is the matrix entry marked i", ha="center")
    figure.tight_layout()
    figure.savefig(out / "rot6d.png", dpi=110)
    plt.close(figure)


def draw_flow(out: Path) -> None:
    """The stages and the files between them."""
    figure, axes = plt.subplots(figsize=(11, 4.2))
    boxes = {
        "raw data": (0.0, 1.6, "mocap, npz, …", GREY),
        "record tables": (2.3, 1.6, "<split>.parquet", BLUE),
        "prototypes + labels": (5.0, 2.9, ".safetensors\n.labels.parquet", BLUE),
        "IUV set": (5.0, 0.3, "iuv-00000.parquet", BLUE),
        "shards": (7.9, 1.6, "shard-00000.parquet\nindex.json", BLUE),
        "tail report": (10.7, 2.9, "index.html\nreport.json", GREEN),
        "training": (10.7, 0.3, "networks", GREY),
    }
    for name, (x, y, files, colour) in boxes.items():
        axes.add_patch(FancyBboxPatch((x, y), 1.75, 0.95, boxstyle="round,pad=0.08", fc="white", ec=colour, lw=2))
        axes.text(x + 0.875, y + 0.72, name, ha="center", va="center", fontsize=10, color=INK, weight="bold")
        axes.text(x + 0.875, y + 0.25, files, ha="center", va="center", fontsize=8, color=GREY, family="monospace")
    for start, end, label in (
        ((1.9, 2.1), (2.2, 2.1), ""),
        ((4.15, 2.4), (4.9, 3.2), "build-prototypes"),
        ((4.15, 1.8), (4.9, 0.9), "render-iuv"),
        ((4.15, 2.1), (7.8, 2.1), "build-shards"),
        ((6.85, 3.0), (7.8, 2.5), ""),
        ((6.85, 3.4), (10.6, 3.4), "tail-report"),
        ((9.75, 1.8), (10.6, 0.9), "train"),
    ):
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, color=INK))
        middle = np.add(start, end) / 2
        tilted = start[1] != end[1]
        axes.text(
            middle[0] - 0.1 * tilted,
            middle[1] + 0.13,
            label,
            ha="right" if tilted else "center",
            fontsize=8,
            backgroundcolor="white",
        )
    axes.text(2.0, 2.75, "ingest", ha="center", fontsize=8)
    axes.set_xlim(-0.2, 12.8)
    axes.set_ylim(0, 4.2)
    axes.axis("off")
    figure.tight_layout()
    figure.savefig(out / "data_flow.png", dpi=110)
    plt.close(figure)


MAPS_SAMPLE = "embedded/test/dance_b/00601"


def draw_maps(out: Path) -> None:
    """``maps.jpg``: what ``show-maps`` draws of one embedded record."""
    body = load_body()
    records = chosen_rows(embedded_records("test", body), [MAPS_SAMPLE], 1, 0)
    ((_, sheet),) = MapPanels(body).draw(records)
    Image.fromarray(sheet).save(out / "maps.jpg", quality=88)


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    for draw in (draw_flow, draw_frames, draw_crop, draw_pixels, draw_rot6d, draw_maps):
        draw(out)
        print(f"{draw.__name__} done")


if __name__ == "__main__":
    main()
