"""IUV maps against other renderers: speed, agreement with a float64 brute force, from parameters, memory, scaling.

Run ``python benchmarks/raster.py``; it writes its part of ``results/maps.md`` and ``maps.json``, and ``maps.png``. The
peers (``renderers.py``) need moderngl with EGL, warp-lang and embreex; one that does not work here is named with the
reason. Bodies are the embedded dataset's real poses, in its own crops (1.2 times the tight box) and closer up. Everyone
starts from posed vertices and crop cameras, a new mesh for every frame. The brute force is the test's own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from renderers import Frames, renderers
from rounds import RESULTS, Timing, measure, ratio, record, speed_row

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv_bodies, render_iuv_projected
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.maps.raster import rasterize
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.sources.embedded import embedded_records

TEST = Path(__file__).resolve().parents[1] / "tests" / "maps" / "test_raster.py"
SCENES = {"own crops": 1.2, "close up": 0.85}
"""Crop box side over the tight box's longer side; close up, hands and feet are often cut off."""
SIZES = (56, 224)
OURS, OURS_FACES = "ours, chart + U + V", "ours, face"
COLOURS, WARP = "moderngl, chart + U + V, 8 bits each", "warp, face and chart + U + V"
FLOORS = (("moderngl", 56, 10), ("warp", 56, 4), ("moderngl", 224, 5))
CURVE = (28, 40, 56, 80, 112, 160, 224, 320, 448)
NAIVE_BATCH = 64
"""Bodies that smplx poses at a time: its fastest."""


def bodies(count: int, expansion: float) -> tuple[BodyParameters, NDArray[np.float64]]:
    """Embedded bodies without their translation, and their crop cameras; the first ones again when there are no more.

    Args:
        count: N.
        expansion: crop box side over the tight box's longer side.
    """
    body = load_body()
    records = embedded_records("train", body, min(count, 12_000))
    parameters = records.parameters()
    rows = np.arange(count) % len(records)
    return parameters.replaced(transl=np.zeros((len(records), 3)))[rows], record_crops(records, body, expansion).camera[
        rows
    ]


def frames(count: int, size: int, expansion: float) -> Frames:
    parameters, camera = bodies(count, expansion)
    return Frames(load_body().pose(parameters).vertices, Projection.crop(camera, size), size, reference_atlas())


# -- agreement --------------------------------------------------------------------------------------------------------


def exact(scene: Frames) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Face numbers (N, S, S) and IUV maps (N, 3, S, S) by the float64 brute force of the tests."""
    spec = importlib.util.spec_from_file_location("test_raster", TEST)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    points, faces = project(scene.vertices, scene.projection), scene.atlas.vertices_faces
    ids = np.stack([module.brute_force(body, faces, scene.size) for body in points])
    iuv = np.zeros((len(scene), 3, scene.size, scene.size), np.uint8)
    n, i, j = np.nonzero(ids >= 0)
    seen = ids[n, i, j]
    corners = points[n[:, None], faces[seen]]  # (P, 3, 3) x px, y px, z m
    corners[..., :2] *= corners[..., 2:]
    ray = np.stack([j + 0.5, i + 0.5, np.ones(len(n))], axis=1)[..., None]
    weights = np.linalg.solve(corners.transpose(0, 2, 1), ray)[..., 0]
    uv = (weights[..., None] / weights.sum(axis=1)[:, None, None] * scene.atlas.face_uv[seen]).sum(axis=1)
    iuv[n, 0, i, j] = scene.atlas.chart[seen]
    iuv[n, 1:, i, j] = np.floor(255 * uv.clip(0, 1) + 0.5)
    return ids, iuv


def agreement(
    scene: Frames, results: dict[str, tuple[NDArray[np.int32] | None, NDArray[np.uint8] | None]]
) -> dict[str, dict[str, float]]:
    """Pixels per frame that differ from the brute force: another face; another chart; U or V at all, and by > 1/255."""
    ids, iuv = exact(scene)
    found: dict[str, dict[str, float]] = {}
    for name, (faces, maps) in results.items():
        row: dict[str, float] = {}
        if faces is not None:
            row["face"] = float((faces != ids).sum() / len(scene))
        if maps is not None:
            apart = np.abs(maps[:, 1:].astype(np.int16) - iuv[:, 1:]).max(axis=1)
            row["chart"] = float((maps[:, 0] != iuv[:, 0]).sum() / len(scene))
            row["uv"], row["uv_by_two"] = float((apart > 0).sum() / len(scene)), float((apart > 1).sum() / len(scene))
        found[name] = row
    return found


# -- speed ------------------------------------------------------------------------------------------------------------


def race(count: int, size: int, expansion: float, given: argparse.Namespace) -> dict[str, Any]:
    """Everyone on the same frames: timings, agreement, and who is missing."""
    scene = frames(count, size, expansion)
    peers, missing = renderers(scene)
    atlas, faces = scene.atlas, scene.atlas.vertices_faces
    contenders: dict[str, Callable[[], Any]] = {
        OURS: lambda: render_iuv_projected(scene.vertices, scene.projection, atlas, size),
        OURS_FACES: lambda: rasterize(project(scene.vertices, scene.projection), faces, size),
        **{name: peer.draw for name, peer in peers.items()},
    }
    timings = measure(contenders, given.rounds, given.budget)
    maps = contenders[OURS]()
    results = {OURS: (None, maps), OURS_FACES: (contenders[OURS_FACES](), None)}
    results |= {name: (peer.face_ids(), peer.iuv()) for name, peer in peers.items()}
    return {
        "size": size,
        "frames": count,
        "foreground": float((maps[:, 0] > 0).mean()),
        "timings": timings,
        "agreement": agreement(scene, results),
        "missing": missing,
        "renderers": {name: peer.name for name, peer in peers.items()},
    }


def race_table(title: str, run: dict[str, Any]) -> str:
    timings: dict[str, Timing] = run["timings"]
    lines = [
        f"### {run['size']} px, {title}: {run['foreground']:.1%} foreground, {run['frames']} bodies",
        "",
        "| renderer | frames / s | best round | per processor second | others | ours : it | by best rounds |"
        " by processor time | pixels / frame: other face | other chart | U or V differs | by more than 1/255 |",
        "|---" * 12 + "|",
    ]
    for name, timing in timings.items():
        ours = timings[OURS_FACES if name.endswith(", face") else OURS]
        ratios = f" {ratio(ours, timing)} | {timing.best / ours.best:.1f} | {ratio(ours, timing, processor=True)} |"
        apart = run["agreement"][name]
        cells = " | ".join(f"{apart[key]:.3g}" if key in apart else "" for key in ("face", "chart", "uv", "uv_by_two"))
        lines.append(speed_row(name, timing, run["frames"], f"{ratios} {cells} |"))
    lines += [f"| {name} | not measured: {reason} |" for name, reason in run["missing"].items()]
    return "\n".join(lines)


def floors(runs: dict[str, list[dict[str, Any]]], cpu: bool) -> str:
    """Which of the ratios aimed at are reached, against the fastest of a library's pictures.

    Reached means by the median and by the best rounds, or with ``cpu`` by processor time.
    """
    lines = ["| floor | scene | ours : peer | by best rounds | by processor time | reached |", "|---" * 6 + "|"]
    for library, size, floor in FLOORS:
        for title, run in ((t, r) for t, scene in runs.items() for r in scene if r["size"] == size):
            timings: dict[str, Timing] = run["timings"]
            rivals = [t for name, t in timings.items() if name.startswith(library)]
            if not rivals:
                lines.append(f"| {size} px: {floor} x {library} | {title} | not measured | | | |")
                continue
            rival = min(rivals, key=lambda t: t.seconds(cpu))
            ours = timings[OURS]
            gain = rival.seconds(cpu) / ours.seconds(cpu)
            reached = "yes" if (gain if cpu else min(gain, rival.best / ours.best)) >= floor else "no"
            ratios = f"{ratio(ours, rival)} | {rival.best / ours.best:.1f} | {ratio(ours, rival, processor=True)}"
            lines.append(f"| {size} px: {floor} x {library} | {title} | {ratios} | {reached} |")
    return "\n".join(lines)


# -- from parameters --------------------------------------------------------------------------------------------------


def naive_pipeline(parameters: BodyParameters, scene: Frames) -> Callable[[], None] | str:
    """smplx in batches, then moderngl body by body; or why that does not work here."""
    try:
        import torch

        from hmrtk.toolkit.body.layer import body_layer
    except ImportError as error:
        return str(error)
    peers, missing = renderers(scene, (COLOURS,))
    if missing:
        return missing[COLOURS]
    layer = body_layer(load_body(), batch_size=NAIVE_BATCH)
    names = ("global_orient", "body_pose", "betas")
    tensors = {name: torch.from_numpy(getattr(parameters, name).reshape(len(scene), -1).copy()) for name in names}

    def run() -> None:
        with torch.inference_mode():
            for first in range(0, len(scene), NAIVE_BATCH):
                posed = layer(**{name: tensor[first : first + NAIVE_BATCH] for name, tensor in tensors.items()})
                peers[COLOURS].draw_some(posed.vertices.numpy(), first)

    return run


def from_parameters(count: int, given: argparse.Namespace) -> dict[str, Any]:
    """Parameters → IUV maps at both sizes: ours fused with posing, the naive pipeline, and posing alone."""
    parameters, camera = bodies(count, SCENES["own crops"])
    body, atlas, notes = load_body(), reference_atlas(), dict[str, str]()
    vertices = body.pose(parameters).vertices
    contenders: dict[str, Callable[[], Any]] = {"posing alone": lambda: sum(1 for _ in body.stream(parameters))}
    for size in SIZES:
        scene = Frames(vertices, Projection.crop(camera, size), size, atlas)
        contenders[f"ours, {size} px"] = lambda s=size: sum(  # type: ignore[misc]
            1 for _ in render_iuv_bodies(parameters, camera, body, atlas, s)
        )
        naive = naive_pipeline(parameters, scene)
        if isinstance(naive, str):
            notes[f"smplx + moderngl, {size} px"] = naive
        else:
            contenders[f"smplx + moderngl, {size} px"] = naive
    return {"bodies": count, "timings": measure(contenders, given.rounds, given.budget), "missing": notes}


def parameters_table(run: dict[str, Any]) -> str:
    timings: dict[str, Timing] = run["timings"]
    lines = [
        f"| {run['bodies']} bodies, own crops | maps / s | best round | per processor second | others | ours : it |"
        " by processor time |",
        "|---" * 7 + "|",
    ]
    for name, timing in timings.items():
        ours = timings.get(f"ours, {name.split(', ')[-1]}")
        note = f" {ratio(ours, timing)} | {ratio(ours, timing, processor=True)} |" if ours else " | |"
        lines.append(speed_row(name, timing, run["bodies"], note))
    lines += [f"| {name} | not measured: {reason} |" for name, reason in run["missing"].items()]
    return "\n".join(lines)


# -- memory -----------------------------------------------------------------------------------------------------------


def stream(count: int, size: int) -> dict[str, float]:
    """Stream many bodies in this process: seconds, MB of memory before the first map, and at the peak from there on."""
    parameters, camera = bodies(count, SCENES["own crops"])
    body, atlas = load_body(), reference_atlas()
    few = parameters[:64]
    for _ in render_iuv_bodies(few, camera[:64], body, atlas, size):  # compiles and loads the kernels
        continue
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = _peak(), time.perf_counter()
    filled = sum(int((maps[:, 0] > 0).sum()) for _, maps in render_iuv_bodies(parameters, camera, body, atlas, size))
    seconds = time.perf_counter() - start
    return {"bodies": count, "size": size, "seconds": seconds, "before": before, "after": _peak(), "filled": filled}


def _peak() -> float:
    """MB; ``ru_maxrss`` will not do, a child inherits its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024 / 1e6


def memory_of(count: int, size: int) -> dict[str, float]:
    """``stream`` in a fresh process, so that the peak is its own."""
    command = [sys.executable, __file__, "--stream", str(count), "--size", str(size)]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(text.splitlines()[-1]))


def memory_table(runs: list[dict[str, float]]) -> str:
    lines = [
        "| streamed | px | MB before the first map | peak MB | added | maps together, MB | seconds |",
        "|---" * 7 + "|",
    ]
    for r in runs:
        whole = 3 * r["bodies"] * r["size"] ** 2 / 1e6
        memory = f"{r['before']:.0f} | {r['after']:.0f} | {r['after'] - r['before']:.0f} | {whole:.0f}"
        lines.append(f"| {r['bodies']:.0f} bodies | {r['size']:.0f} | {memory} | {r['seconds']:.1f} |")
    return "\n".join(lines)


# -- against the size of the map --------------------------------------------------------------------------------------


def curve(count: int, given: argparse.Namespace) -> dict[int, dict[str, Timing]]:
    """Maps per second of ours and of the peers at every size, own crops."""
    parameters, camera = bodies(count, SCENES["own crops"])
    body, atlas = load_body(), reference_atlas()
    vertices = body.pose(parameters).vertices
    found = {}
    for size in CURVE:
        scene = Frames(vertices, Projection.crop(camera, size), size, atlas)
        peers, _ = renderers(scene, (COLOURS, WARP))
        contenders: dict[str, Callable[[], Any]] = {
            "ours, from vertices": lambda s=scene: render_iuv_projected(s.vertices, s.projection, atlas, s.size),  # type: ignore[misc]
            "ours, from parameters": lambda s=size: sum(  # type: ignore[misc]
                1 for _ in render_iuv_bodies(parameters, camera, body, atlas, s)
            ),
            **{name.split(",")[0] + ", from vertices": peer.draw for name, peer in peers.items()},
        }
        found[size] = measure(contenders, min(given.rounds, 5), given.budget / 4)
    return found


def curve_table(found: dict[int, dict[str, Timing]], count: int) -> str:
    names = list(next(iter(found.values())))
    lines = [f"| px | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for size, timings in found.items():
        cells = [f"{'~' if t.disturbed else ''}{count / t.seconds():.0f}" for t in timings.values()]
        lines.append(f"| {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: dict[int, dict[str, Timing]], count: int, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 4.2), constrained_layout=True)
    for name in next(iter(found.values())):
        axis.loglog(CURVE, [count / found[size][name].seconds() for size in CURVE], "o-", label=name)
    axis.set_xticks(CURVE, [str(size) for size in CURVE])
    axis.minorticks_off()
    axis.set(xlabel="side of the map, px", ylabel="maps / s, 2 cores", title="IUV maps, embedded bodies in own crops")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def numbers(run: dict[str, Any]) -> dict[str, Any]:
    """A run with its timings as plain numbers, for the JSON file."""
    count = run.get("frames", run.get("bodies"))
    return {**run, "timings": {name: timing.numbers(count) for name, timing in run["timings"].items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5, help="quiet rounds wanted of each")
    parser.add_argument("--budget", type=float, default=120, help="seconds per table to wait for quiet rounds")
    parser.add_argument("--bodies", type=int, default=25_000, help="streamed to see how much memory that takes")
    parser.add_argument("--cpu", action="store_true", help="for busy machines: wait for none, judge by processor time")
    parser.add_argument("--stream", type=int, help="stream so many bodies here and print seconds and memory as JSON")
    parser.add_argument("--size", type=int, default=56, help="px, for --stream")
    given = parser.parse_args()
    if given.stream:
        print(json.dumps(stream(given.stream, given.size)))
        return
    runs = {
        title: [race(given.frames, size, expansion, given) for size in SIZES] for title, expansion in SCENES.items()
    }
    fused = from_parameters(4 * given.frames, given)
    streamed = [memory_of(given.bodies, size) for size in SIZES]
    sizes = curve(given.frames, given)
    plot(sizes, given.frames, RESULTS / "maps.png")
    used = sorted({name for scene in runs.values() for run in scene for name in run["renderers"].values()})
    pages = [
        "## IUV maps",
        f"Renderers: {', '.join(used)}. “Face” leaves only face numbers and is compared with ours that does the same.",
        floors(runs, given.cpu),
        *(race_table(title, run) for title, scene in runs.items() for run in scene),
        "### From parameters\n\n" + parameters_table(fused),
        "### Memory\n\n" + memory_table(streamed),
        "### Maps per second against size\n\n" + curve_table(sizes, given.frames) + "\n\n![maps/s](maps.png)",
    ]
    kept = {title: [numbers(run) for run in scene] for title, scene in runs.items()}
    curves = {size: {n: t.numbers(given.frames) for n, t in timings.items()} for size, timings in sizes.items()}
    record("1 iuv", "\n\n".join(pages), {"races": kept, "fused": numbers(fused), "memory": streamed, "curve": curves})


if __name__ == "__main__":
    main()
