"""The data of the experiment: real poses before virtual cameras, split by clip, with synthesised pictures.

In: ``shared/motion/poses.parquet`` beside the checkout (25 993 poses of 340 clips, real but for the composed "sit"),
or, without it, the packaged dataset ``embedded`` (12 000 poses of 15 clips, split by time). Out: record tables and
shards of train, val and test, and the prototype sets of the arms.

Composed poses carry the name of the clip that they were composed from, and go where it goes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.progress import Progress
from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.sources.embedded import SPLITS, embedded_records
from hmrtk.toolkit.sources.projection import derived_columns
from hmrtk.toolkit.synthesis.scene_config import scene_named

MOTION = Path(__file__).resolve().parents[3] / "shared" / "motion" / "poses.parquet"
SHARES = {"train": 0.70, "val": 0.09, "test": 0.21}
"""Of the clips of each action: 238, 30 and 71 of 340."""
SEED = 7

IMAGE_SIZE, FOCAL_PX, HEIGHT_SHARE = (480, 640), (600.0, 1000.0), (0.45, 0.9)
PITCH_DEG, ROLL_DEG = 6.0, 3.0
REGION_PX = {"small": 128, "paper": 400}
"""Preset → side of the stored pictures: 128 px hold a crop of 71 px, for a network of 64 px; 400 px hold 222."""
VIEWS = {"train": 2, "val": 1, "test": 1}
"""Cameras and pictures per pose."""


def split_of_clips(clips: list[str], actions: list[str]) -> dict[str, str]:
    """clip → split: within each action, clips in the order of a hash of their names fill test, val, train in turn."""
    by_action: dict[str, list[str]] = {}
    for clip, action in sorted(set(zip(clips, actions, strict=True))):
        by_action.setdefault(action, []).append(clip)
    found: dict[str, str] = {}
    for action in sorted(by_action):
        names = sorted(by_action[action], key=lambda name: hashlib.sha256(f"{SEED}/{name}".encode()).hexdigest())
        for place, name in enumerate(names):
            share = (place + 0.5) / len(names)
            split = "test" if share < SHARES["test"] else "val" if share < SHARES["test"] + SHARES["val"] else "train"
            found.setdefault(name, split)
    return found


def motion_records(body: BodyModel, progress: Progress) -> dict[str, RecordTable]:
    """Record tables of the real poses, each seen by ``VIEWS`` cameras."""
    table = pq.read_table(MOTION)
    clips, actions = (table[name].to_pylist() for name in ("clip", "action"))
    pose = np.asarray(table["pose"].combine_chunks().flatten(), np.float32).reshape(-1, 24, 3)
    frames = table["frame"].to_numpy().astype(int)
    split = split_of_clips(clips, actions)
    found = {}
    for number, name in enumerate(SPLITS):
        rows = np.repeat([row for row, clip in enumerate(clips) if split[clip] == name], VIEWS[name])
        view = np.tile(np.arange(VIEWS[name]), len(rows) // VIEWS[name])
        rng = np.random.default_rng([SEED, number])
        parameters, focal = _before_cameras(pose[rows], body, rng)
        n = len(rows)
        camera = {
            "focal": np.repeat(focal[:, None], 2, axis=1).astype(np.float32),
            "principal": np.tile(np.float32((IMAGE_SIZE[1] / 2, IMAGE_SIZE[0] / 2)), (n, 1)),
            "image_size": np.tile(np.int32(IMAGE_SIZE), (n, 1)),
        }
        columns = {
            "sample_id": [
                f"motion/{name}/{clips[r]}/{frames[r]:05d}-{r:05d}-{v}" for r, v in zip(rows, view, strict=True)
            ],
            "dataset": "motion", "split": name, "subject": "a", "sequence": [clips[r] for r in rows],
            "action": [actions[r] for r in rows], "frame": frames[rows], "camera_id": [f"virtual{v}" for v in view],
            **camera,
            **{key: getattr(parameters, key) for key in ("global_orient", "body_pose", "betas", "transl")},
            "body_source": "mocap", "gender": "neutral",
            **derived_columns(parameters, body, **camera, place=f"motion {name}", progress=progress),
        }  # fmt: skip
        found[name] = RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint), f"motion {name}")
    return found


def _before_cameras(
    pose: NDArray[np.float32], body: BodyModel, rng: np.random.Generator
) -> tuple[BodyParameters, NDArray[np.float64]]:
    """Bodies in front of cameras that look at them from all round, and the focal lengths (N,) px."""
    n = len(pose)
    turn = Rotation.from_euler("y", rng.uniform(-np.pi, np.pi, (n, 1)))
    pitch = Rotation.from_euler("x", rng.normal(0, PITCH_DEG, (n, 1)), degrees=True)
    roll = Rotation.from_euler("z", rng.normal(0, ROLL_DEG, (n, 1)), degrees=True)
    upside = Rotation.from_euler("x", np.full((n, 1), np.pi))
    root = roll * pitch * upside * turn * Rotation.from_rotvec(pose[:, 0].astype(float))
    betas = np.clip(rng.standard_normal((n, 10)), -3, 3)
    still = BodyParameters.of(root.as_rotvec(), pose[:, 1:], betas)
    joints = body.joints(still).astype(np.float64)
    low, high = joints.min(axis=1) - 0.13, joints.max(axis=1) + 0.13
    extent = np.maximum((high - low)[:, :2].max(axis=1), 1.1)
    focal = rng.uniform(*FOCAL_PX, n)
    depth = focal * extent / (rng.uniform(*HEIGHT_SHARE, n) * IMAGE_SIZE[0])
    transl = np.column_stack([-(low + high)[:, :2] / 2, depth])
    return still.replaced(transl=transl), focal


def make_records(body: BodyModel, progress: Progress) -> dict[str, RecordTable]:
    """Records of the experiment, from the motion where it is there."""
    if MOTION.is_file():
        return motion_records(body, progress)
    return {split: embedded_records(split, body, progress=progress) for split in SPLITS}


def make_shards(
    records: dict[str, RecordTable], body: BodyModel, out: Path, region_px: int, progress: Progress
) -> None:
    """Pictures and cameras; labels are those of each arm's prototypes and are found while reading."""
    config = ShardConfig(
        maps=(), synthesise=True, seed=SEED, region_px=region_px, rows_per_shard=4000, rows_per_group=400,
        scene=scene_named("clear"),
    )  # fmt: skip
    build_shards(RecordTable.concatenate(list(records.values())), body, out, config, progress=progress)


def prototype_configs(seed: int = 0) -> dict[str, PrototypeConfig]:
    """The sets of the arms: PM-Net's four memories at K = 10, and P3DH at K = 50."""
    sets = {
        f"{method}-k10": PrototypeConfig(k=10, method=method, seed=seed)
        for method in ("p3dh", "3dh", "naive", "random")
    }
    return {**sets, "p3dh-k50": PrototypeConfig(k=50, method="p3dh", seed=seed)}
