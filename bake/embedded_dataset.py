"""Bake the dataset named ``embedded``: 15 real motion-capture clips → three tables of poses, shapes and cameras.

In: ``toolkit/sources/data/embedded_motion.npz`` (1620 frames, SMPL's 24 joints, y up). Out, beside it:
``embedded_{train,val,test}.parquet``, read by ``hmrtk.toolkit.sources.embedded``. Run it with the package installed.
Seeded: the same input gives the same rows.

Rules, in the order they act:

1. **Split.** Every clip is cut into time blocks (``LAYOUT``). Between two blocks ``GUARD_SECONDS`` (two frames at
   least) separate the last used moment of one from the first of the next. Walk and run are cycles: their first and
   last block are both train, so no neighbouring moments cross the seam either. A mirrored copy stays in the split of
   its original. (Half a cycle later a mirrored step looks like a step: gait is symmetric, no cut prevents that.)
2. **Standing.** No clip is called standing. A frame counts as standing when torso, legs and feet say so and little
   moves (``is_standing``); these frames leave the action of their clip.
3. **Long tail.** The share of an action falls as 1 / rank ** ``ZIPF_EXPONENT`` in the order of ``ACTIONS``, the same
   in every split.
4. **Pose.** A row is a moment between two neighbouring frames of one block: each joint's rotation is interpolated on
   the shortest arc. No pose is made up beyond that. Every other row (by chance) is mirrored left-right.
5. **Camera.** Heading all round; small pitch and roll; focal and distance vary; the person is placed inside the
   picture by the joints of the reference body, and in a few rows pushed partly out of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.joints import PARENTS, SMPL_FLIP
from hmrtk.toolkit.body.reference import reference_arrays
from hmrtk.toolkit.records.artefact import write_parquet

DATA = Path(__file__).resolve().parents[1] / "toolkit" / "sources" / "data"
KIND, SCHEMA_VERSION = "hmrtk.embedded", 1
ROWS = {"train": 12_000, "val": 2_000, "test": 2_000}
SEED = 20_260_101

GUARD_SECONDS = 0.1
EVALUATION_SHARE = 0.15
"""Share of a clip's usable frames that val gets, and test gets."""
MIN_BLOCK = 3
LETTERS = {"T": "train", "V": "val", "S": "test"}
LAYOUT = {
    "walk": "TVTST", "run": "TVTST", "dance_a": "TVTST", "dance_b": "TSTVTSTVT", "punch": "TVTST", "kick": "TSTVT",
    "jump": "TSTVTVTS", "spin": "TVTSTVTST", "roll": "TSTVT", "cartwheel": "TSTV", "crawl": "TVTSTVTST",
    "backflip": "TVTST", "spinkick": "TSTVT", "getup_facedown": "TSTVTVTS", "getup_faceup": "TVTSTSTV",
}  # fmt: skip

ACTION_OF_CLIP = {"dance_a": "dance", "dance_b": "dance"}
STAND_CLIPS = ("jump", "getup_facedown", "getup_faceup", "cartwheel", "backflip", "roll", "spin")
"""Clips that begin, pause or end standing; a mid-stance of walking also looks upright but is not standing."""
ACTIONS = (
    "walk", "stand", "run", "dance", "punch", "jump", "kick", "spin", "getup_faceup", "getup_facedown", "crawl", "roll",
    "cartwheel", "spinkick", "backflip",
)  # fmt: skip
ZIPF_EXPONENT = 1.25

IMAGE_SIZE = (480, 640)
FOCAL_PX = (600.0, 1000.0)
PITCH_DEG, ROLL_DEG = (6.0, 18.0), (3.0, 9.0)
"""(standard deviation, limit) of the camera's pitch and roll."""
BETA_LIMIT = 3.0
BODY_MARGIN = 0.13
"""Metres added around the joints: the surface reaches beyond them (top of the head most)."""
SIZE_SHARE = (0.40, 0.92)
"""The person's longer side as a share of the image height."""
MIN_EXTENT = 1.1
"""Metres; a rolled-up body is not brought nearer than one of this size would be."""
CUT_SHARE = 0.06
"""Share of rows whose person may reach out of the picture."""
ANGLE_UNIT = 1e-4
"""Rotations and betas are stored as int16 multiples of this (radians, shape units)."""


def blocks(clip: str, n: int, fps: float) -> list[tuple[str, int, int]]:
    """Time blocks of a clip of ``n`` frames: (split, first frame, last frame), both inclusive."""
    layout, guard = LAYOUT[clip], guard_frames(fps)
    usable = n - (len(layout) - 1) * (guard - 1)
    size = {}
    for letter in "VS":
        size[letter] = max(MIN_BLOCK, round(usable * EVALUATION_SHARE / layout.count(letter)))
    train = usable - sum(size[x] for x in layout if x != "T")
    cuts = np.round(np.linspace(0, train, layout.count("T") + 1)).astype(int)
    train_sizes = iter(np.diff(cuts).tolist())
    result, start = [], 0
    for letter in layout:
        length = next(train_sizes) if letter == "T" else size[letter]
        if length < 2:
            raise ValueError(f"{clip}: a {LETTERS[letter]} block of {length} frames has no two neighbours")
        result.append((LETTERS[letter], start, start + length - 1))
        start += length - 1 + guard
    return result


def guard_frames(fps: float) -> int:
    """Frames from the last of one block to the first of the next."""
    return max(2, int(np.ceil(GUARD_SECONDS * fps - 1e-3)))


def forward_kinematics(rotations: NDArray, rest: NDArray) -> tuple[NDArray, NDArray]:
    """Local rotations (N, 24, 3, 3) → world rotations, the same shape, and positions (N, 24, 3) from the pelvis."""
    world, place = rotations.copy(), np.zeros((len(rotations), 24, 3))
    for joint in range(1, 24):
        parent = PARENTS[joint]
        world[:, joint] = world[:, parent] @ rotations[:, joint]
        place[:, joint] = place[:, parent] + world[:, parent] @ (rest[joint] - rest[parent])
    return world, place


def is_standing(rotations: NDArray, rest: NDArray, fps: float) -> NDArray[np.bool_]:
    """(N,) true where a clip's frame shows somebody standing.

    Limits: torso and pelvis within 28° and 25° of the vertical; knees under 48°; the lower ankle at 87 % of the leg's
    length or more below the pelvis; ankles within 10 cm in height and 45 cm on the ground; their middle within 17 cm
    of the point below the pelvis (not leaning on the air in a jump); soles within 25° of level; joints turn at less
    than 75°/s on average.
    """
    world, place = forward_kinematics(rotations, rest)
    torso_up, pelvis_up = world[:, 9, 1, 1], world[:, 0, 1, 1]
    knees = np.linalg.norm(Rotation.from_matrix(rotations[:, [4, 5]].reshape(-1, 3, 3)).as_rotvec(), axis=1)
    step = np.swapaxes(rotations[:-1], -1, -2) @ rotations[1:]
    speed = Rotation.from_matrix(step.reshape(-1, 3, 3)).magnitude().reshape(-1, 24).mean(axis=1) * fps
    speed = np.concatenate([speed, speed[-1:]])
    ankles = place[:, [7, 8]]
    leg = -ankles[..., 1].max(axis=1) / (rest[0, 1] - rest[7, 1])
    apart, middle = ankles[:, 0] - ankles[:, 1], ankles.mean(axis=1)
    return (
        (torso_up > np.cos(np.radians(28)))
        & (pelvis_up > np.cos(np.radians(25)))
        & (knees.reshape(-1, 2).max(axis=1) < np.radians(48))
        & (leg > 0.87)
        & (np.abs(apart[:, 1]) < 0.10)
        & (np.hypot(apart[:, 0], apart[:, 2]) < 0.45)
        & (np.hypot(middle[:, 0], middle[:, 2]) < 0.17)
        & (world[:, [7, 8], 1, 1].min(axis=1) > np.cos(np.radians(25)))
        & (speed < np.radians(75))
    )


class Motion:
    """The clips as local rotation matrices, with the reference body's rest joints."""

    def __init__(self) -> None:
        with np.load(DATA / "embedded_motion.npz", allow_pickle=False) as file:
            clip, names, fps = file["clip"], file["clip_name"].tolist(), file["clip_fps"]
            rotations = Rotation.from_rotvec(file["poses"].reshape(-1, 3).astype(float)).as_matrix()
        rotations = rotations.reshape(-1, 24, 3, 3)
        self.rotations = {name: rotations[clip == i] for i, name in enumerate(names)}
        self.fps = dict(zip(names, fps.astype(float).tolist(), strict=True))
        arrays = reference_arrays("neutral")
        self.rest = np.asarray(arrays.joint_regressor @ arrays.v_template.astype(float))

    def segments(self, split: str) -> dict[str, list[tuple[str, int]]]:
        """action → [(clip, frame)]: the pairs (frame, frame + 1) that lie inside one block of ``split``."""
        result: dict[str, list[tuple[str, int]]] = {action: [] for action in ACTIONS}
        for clip, rotations in self.rotations.items():
            fps = self.fps[clip]
            still = is_standing(rotations, self.rest, fps) & (clip in STAND_CLIPS)
            for owner, first, last in blocks(clip, len(rotations), fps):
                for frame in range(first, last) if owner == split else ():
                    stands = still[frame] and still[frame + 1]
                    result["stand" if stands else ACTION_OF_CLIP.get(clip, clip)].append((clip, frame))
        return result


def action_counts(rows: int) -> dict[str, int]:
    """Rows per action: Zipf shares, rounded by largest remainder so that they add up to ``rows``."""
    share = np.arange(1, len(ACTIONS) + 1) ** -ZIPF_EXPONENT
    exact = share / share.sum() * rows
    count = np.floor(exact).astype(int)
    count[np.argsort(count - exact, kind="stable")[: rows - count.sum()]] += 1
    return dict(zip(ACTIONS, count.tolist(), strict=True))


def drawn(rng: np.random.Generator, segments: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """``count`` of the frame pairs: each time one of the clips, all equally likely, then one of its pairs."""
    clips = sorted({clip for clip, _ in segments})
    pairs = {name: [frame for clip, frame in segments if clip == name] for name in clips}
    names = [clips[i] for i in rng.integers(0, len(clips), count)]
    return [(name, pairs[name][int(rng.random() * len(pairs[name]))]) for name in names]


def interpolate(rotations: NDArray, frame: NDArray, offset: NDArray) -> NDArray:
    """(N, 24, 3, 3) at ``frame + offset``, each joint on the shortest arc between the two frames."""
    before, after = rotations[frame], rotations[frame + 1]
    step = Rotation.from_matrix((np.swapaxes(before, -1, -2) @ after).reshape(-1, 3, 3)).as_rotvec().reshape(-1, 24, 3)
    part = Rotation.from_rotvec((step * offset[:, None, None]).reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    return before @ part


def mirrored(rotations: NDArray) -> NDArray:
    """Left-right mirrored local rotations: joints exchanged, rotations reflected in the plane x = 0."""
    flip = np.diag([-1.0, 1.0, 1.0])
    return flip @ rotations[:, list(SMPL_FLIP)] @ flip


def clipped_normal(rng: np.random.Generator, sigma: float, limit: float, size: int | tuple[int, ...]) -> NDArray:
    return np.clip(rng.normal(0.0, sigma, size), -limit, limit)


def camera_rotations(rng: np.random.Generator, n: int) -> NDArray:
    """(n, 3, 3) from the clip's world (y up) to the camera (y down, z forward): heading, then pitch, then roll."""
    heading = Rotation.from_euler("y", rng.uniform(-np.pi, np.pi, (n, 1)))
    pitch = Rotation.from_euler("x", clipped_normal(rng, *PITCH_DEG, (n, 1)), degrees=True)
    roll = Rotation.from_euler("z", clipped_normal(rng, *ROLL_DEG, (n, 1)), degrees=True)
    return (roll * pitch * Rotation.from_euler("x", np.full((n, 1), np.pi)) * heading).as_matrix()


def place_pelvis(rng: np.random.Generator, place: NDArray, focal: NDArray) -> NDArray:
    """(N, 3) camera-frame pelvis positions that put the joints ``place`` (N, 24, 3, pelvis = 0) inside the picture."""
    n = len(place)
    low, high = place.min(axis=1) - BODY_MARGIN, place.max(axis=1) + BODY_MARGIN
    extent = np.maximum((high - low)[:, :2].max(axis=1), MIN_EXTENT)
    wanted = rng.uniform(*SIZE_SHARE, n) * IMAGE_SIZE[0]
    depth = focal * extent / wanted
    centre = (low + high)[:, :2] / 2
    half = (high - low)[:, :2] / 2 * (focal / (depth + low[:, 2]))[:, None]
    free = np.maximum(np.array([IMAGE_SIZE[1], IMAGE_SIZE[0]]) / 2 - half, 0.0)
    cut = rng.random(n) < CUT_SHARE
    shift = rng.uniform(-1, 1, (n, 2)) * np.where(cut[:, None], free + 0.6 * half, 0.85 * free)
    return np.column_stack([shift / focal[:, None] * depth[:, None] - centre, depth])


def rows_of(motion: Motion, split: str, rows: int | None = None) -> pa.Table:
    """The table of one split. Draws are made per action and in one order, so a run is reproducible."""
    rng = np.random.default_rng([SEED, list(ROWS).index(split)])
    segments, parts = motion.segments(split), []
    for action, count in action_counts(rows or ROWS[split]).items():
        parts += [(action, *segment) for segment in drawn(rng, segments[action], count)]
    order = rng.permutation(len(parts))
    action, clip, frame = zip(*(parts[i] for i in order), strict=True)
    n, frames = len(parts), np.array(frame)
    offset, flip = rng.random(n).round(4), rng.random(n) < 0.5
    rotations = np.empty((n, 24, 3, 3))
    for name in motion.rotations:
        mine = np.flatnonzero(np.array(clip) == name)
        rotations[mine] = interpolate(motion.rotations[name], frames[mine], offset[mine])
    rotations[flip] = mirrored(rotations[flip])
    rotations[:, 0] = camera_rotations(rng, n) @ rotations[:, 0]
    focal = rng.uniform(*FOCAL_PX, n).round(1)
    pelvis = place_pelvis(rng, forward_kinematics(rotations, motion.rest)[1], focal)
    betas = clipped_normal(rng, 1.0, BETA_LIMIT, (n, 10))
    pose = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(n, 72)
    columns = {
        "clip": pa.array(clip).dictionary_encode(),
        "action": pa.array(action).dictionary_encode(),
        "frame": pa.array(frames.astype(np.int16)),
        "offset": pa.array(offset.astype(np.float32)),
        "mirrored": pa.array(flip),
        "pose": fixed_point(pose),
        "betas": fixed_point(betas),
        "transl": flat_list((pelvis - motion.rest[0]).round(3).astype(np.float32)),
        "focal": pa.array(focal.astype(np.float32)),
    }
    return pa.table(columns)


def fixed_point(values: NDArray) -> pa.Array:
    return flat_list(np.round(values / ANGLE_UNIT).astype(np.int16))


def flat_list(values: NDArray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def metadata() -> dict[str, object]:
    """What the reader must know, and the rules that made the rows."""
    return {
        "angle_unit": ANGLE_UNIT,
        "image_size": list(IMAGE_SIZE),
        "principal": [IMAGE_SIZE[1] / 2, IMAGE_SIZE[0] / 2],
        "made_by": "bake/embedded_dataset.py",
        "seed": SEED,
        "guard_seconds": GUARD_SECONDS,
        "zipf_exponent": ZIPF_EXPONENT,
    }


def main() -> None:
    motion = Motion()
    for split in ROWS:
        table = rows_of(motion, split)
        target = DATA / f"embedded_{split}.parquet"
        write_parquet(target, table, KIND, SCHEMA_VERSION, metadata())
        print(f"{target.name}: {table.num_rows} rows, {target.stat().st_size / 1e6:.2f} MB")
        for action, pairs in motion.segments(split).items():
            print(f"   {action:15s} {action_counts(table.num_rows)[action]:5d} rows from {len(pairs):4d} frame pairs")


if __name__ == "__main__":
    main()
