"""The packaged dataset: guard gaps, the long tail, the poses of the clips, cameras, and the script that made it."""

from __future__ import annotations

import importlib.resources
import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation, Slerp

from hmrtk.toolkit.body.joints import SMPL_FLIP, SMPL_NAMES
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.embedded import SPLITS, EmbeddedSource, embedded_records, packaged_path
from hmrtk.toolkit.sources.registry import open_source

GUARD_SECONDS = 0.1
CYCLES = ("walk", "run")
COMMON, RARE = ("walk", "stand", "run"), (
    "cartwheel", "roll", "crawl", "backflip", "getup_faceup", "getup_facedown", "spinkick",
)  # fmt: skip
UNIT = 1e-4


@pytest.fixture(scope="module")
def motion() -> dict[str, Any]:
    source = importlib.resources.files("hmrtk.toolkit.sources") / "data" / "embedded_motion.npz"
    with source.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def packaged() -> dict[str, Any]:
    return {split: pq.read_table(packaged_path(split)).to_pandas() for split in SPLITS}


@pytest.fixture(scope="module")
def tables(body: Any) -> dict[str, RecordTable]:
    return {split: embedded_records(split, body) for split in SPLITS}


def test_sizes_and_ids(tables: dict[str, RecordTable]) -> None:
    assert {split: len(table) for split, table in tables.items()} == {"train": 12_000, "val": 2_000, "test": 2_000}
    ids = [name for table in tables.values() for name in table.sample_ids]
    assert len(set(ids)) == 16_000
    assert sum(packaged_path(split).stat().st_size for split in SPLITS) < 4e6


def test_splits_of_a_clip_keep_their_distance_in_time(packaged: dict[str, Any], motion: dict[str, Any]) -> None:
    fps = dict(zip(motion["clip_name"].tolist(), motion["clip_fps"].tolist(), strict=True))
    count = dict(zip(motion["clip_name"].tolist(), np.bincount(motion["clip"]).tolist(), strict=True))
    for clip, rate in fps.items():
        times = {}
        for split, table in packaged.items():
            mine = table[table["clip"] == clip]
            times[split] = (mine.frame.to_numpy() + mine.offset.to_numpy(float)) / rate
            assert times[split].size
            assert times[split].max() <= (count[clip] - 1) / rate
        for one, two in itertools.combinations(SPLITS, 2):
            gap = np.abs(times[one][:, None] - times[two][None])
            if clip in CYCLES:
                gap = np.minimum(gap, (count[clip] - 1) / rate - gap)
            assert gap.min() >= GUARD_SECONDS - 1e-3, (clip, one, two)
            # the two source frames of a row are as far from the other split's as the guard, too
            frames = [np.unique(np.r_[packaged[s][packaged[s]["clip"] == clip].frame.to_numpy()]) for s in (one, two)]
            both = [np.union1d(f, f + 1) for f in frames]
            assert np.abs(both[0][:, None] - both[1][None]).min() >= max(2, GUARD_SECONDS * rate - 1e-2), clip


def test_every_action_is_in_every_split_with_the_same_share(packaged: dict[str, Any]) -> None:
    share = {split: table.action.value_counts(normalize=True) for split, table in packaged.items()}
    assert len(share["train"]) == 15
    for split in ("val", "test"):
        np.testing.assert_allclose(share[split].reindex(share["train"].index), share["train"], atol=5.1e-4)
    assert share["train"][list(COMMON)].min() > share["train"].drop(list(COMMON)).max()
    assert share["train"][list(COMMON)].sum() > 0.6
    assert 0.05 < share["train"][list(RARE)].sum() < 0.2
    assert share["train"].sort_values(ascending=False).index[-7:].isin(RARE).all()
    rank = np.arange(1, 16)
    slope = np.polyfit(np.log(rank), np.log(share["train"].sort_values(ascending=False).to_numpy()), 1)[0]
    assert slope == pytest.approx(-1.25, abs=0.02)


def test_rows_are_moments_of_the_clips(
    tables: dict[str, RecordTable], packaged: dict[str, Any], motion: dict[str, Any]
) -> None:
    """Slerp by scipy between the two frames, mirrored by reflection matrices, gives the body pose of a row."""
    names = motion["clip_name"].tolist()
    rng = np.random.default_rng(0)
    flip = np.diag([-1.0, 1, 1])
    for split, table in tables.items():
        pose = table.array("body_pose")
        for row in rng.choice(len(table), 60, replace=False):
            facts = packaged[split].iloc[row]
            frames = motion["poses"][motion["clip"] == names.index(facts["clip"])].reshape(-1, 24, 3).astype(float)
            at, part = int(facts.frame), float(facts.offset)
            expected = np.stack(
                [
                    Slerp([0, 1], Rotation.from_rotvec(frames[at : at + 2, joint]))([part]).as_matrix()[0]
                    for joint in range(24)
                ]
            )
            if facts.mirrored:
                expected = flip @ expected[list(SMPL_FLIP)] @ flip
            got = Rotation.from_rotvec(pose[row].astype(float)).as_matrix()
            angle = Rotation.from_matrix(np.swapaxes(got, -1, -2) @ expected[1:]).magnitude()
            assert np.degrees(angle.max()) < 0.03


def test_mirrored_rows_are_marked(tables: dict[str, RecordTable], packaged: dict[str, Any]) -> None:
    for split, table in tables.items():
        mirrored = packaged[split].mirrored.to_numpy()
        assert 0.45 < mirrored.mean() < 0.55
        np.testing.assert_array_equal(table.array("subject") == "a-mirrored", mirrored)
        np.testing.assert_array_equal(table.array("frame"), packaged[split].frame)


def test_upright_people_stand_upright_and_face_all_round(tables: dict[str, RecordTable], body: Any) -> None:
    table = tables["train"]
    joints = dict(zip(SMPL_NAMES, np.moveaxis(body.joints(table.parameters()), 1, 0), strict=True))
    action = table.array("action")
    upright = np.isin(action, ["walk", "stand", "run"])
    for foot in ("left_ankle", "right_ankle"):
        assert (joints["head"][upright, 1] < joints[foot][upright, 1]).all()  # y down
    inverted = joints["head"][:, 1] > joints["pelvis"][:, 1] + 0.2
    assert set(action[inverted]) >= {"cartwheel", "backflip"}
    front = Rotation.from_rotvec(table.array("global_orient").astype(float)).as_matrix()[:, :, 2]  # body z in camera
    heading = np.arctan2(front[upright, 0], front[upright, 2])
    share = np.histogram(heading, 8, (-np.pi, np.pi))[0] / upright.sum()
    assert share.min() > 0.1
    assert share.max() < 0.15


def test_cameras_show_the_person(tables: dict[str, RecordTable]) -> None:
    for table in tables.values():
        focal, size, box = table.array("focal"), table.array("image_size"), table.array("bbox_xyxy")
        assert focal.min() >= 600
        assert focal.max() <= 1000
        assert (size == (480, 640)).all()
        assert (table.array("principal") == (320, 240)).all()
        whole = (box[:, :2] >= 0).all(axis=1) & (box[:, 2:] <= (640, 480)).all(axis=1)
        assert 0.85 < whole.mean() < 1
        middle = (box[:, :2] + box[:, 2:]) / 2
        assert ((middle > 0) & (middle < (640, 480))).all(axis=1).mean() > 0.99
        side = (box[:, 2:] - box[:, :2]).max(axis=1)
        assert side.min() > 80
        assert np.median(side) > 200
        assert table.array("transl")[:, 2].min() > 1
        assert np.abs(table.array("betas")).max() <= 3
        assert table.array("betas").std() == pytest.approx(1, abs=0.05)
        assert table.table["image_path"].null_count == len(table)


def test_pitch_and_roll_are_small(
    tables: dict[str, RecordTable], packaged: dict[str, Any], motion: dict[str, Any]
) -> None:
    """Undo the clip's own root rotation: what is left is heading, pitch and roll."""
    names, table = motion["clip_name"].tolist(), tables["val"]
    for row in range(200):
        facts = packaged["val"].iloc[row]
        roots = motion["poses"][motion["clip"] == names.index(facts["clip"])][:, :3].astype(float)
        at = int(facts.frame)
        root = Slerp([0, 1], Rotation.from_rotvec(roots[at : at + 2]))([float(facts.offset)]).as_matrix()[0]
        if facts.mirrored:
            root = np.diag([-1.0, 1, 1]) @ root @ np.diag([-1.0, 1, 1])
        camera = Rotation.from_rotvec(table.array("global_orient")[row].astype(float)).as_matrix() @ root.T
        up = camera @ [0, 1, 0]
        assert np.degrees(np.arccos(-up[1])) < 21


def test_a_prefix_is_the_same_rows_and_a_fair_sample(tables: dict[str, RecordTable], body: Any) -> None:
    head = embedded_records("train", body, limit=300)
    assert head.sample_ids == tables["train"].sample_ids[:300]
    for column in ("joints3d", "keypoints2d", "bbox_xyxy"):
        np.testing.assert_allclose(head.array(column), tables["train"].array(column)[:300], atol=1e-3)
    assert len(set(head.array("action"))) >= 12
    assert head.metadata.body == body.fingerprint
    assert head.metadata.provenance["config"] == {"dataset": "embedded", "limit": 300}


def test_the_source_serves_all_splits(body: Any) -> None:
    source = open_source("embedded")
    assert isinstance(source, EmbeddedSource)
    tables = source.ingest(Path(), body, seed=1, limit=5)
    assert {split: len(table) for split, table in tables.items()} == {"train": 5, "val": 5, "test": 5}


def test_another_body_gives_other_joints_for_the_same_poses(body: Any) -> None:
    from hmrtk.toolkit.body.model import load_body

    other = embedded_records("val", load_body(gender="male"), limit=4)
    mine = embedded_records("val", body, limit=4)
    np.testing.assert_array_equal(other.array("body_pose"), mine.array("body_pose"))
    assert np.abs(other.array("joints3d") - mine.array("joints3d")).max() > 1e-3
    assert other.metadata.body != mine.metadata.body


def test_bad_requests(body: Any) -> None:
    with pytest.raises(UnknownNameError, match="unknown split of embedded 'valid'; known: val"):
        embedded_records("valid", body)
    with pytest.raises(InputError, match="limit: expected at least 1 row, got 0"):
        embedded_records("val", body, limit=0)


@pytest.fixture(scope="module")
def bake() -> ModuleType:
    script = Path(__file__).resolve().parents[2] / "bake" / "embedded_dataset.py"
    if not script.is_file():
        pytest.skip("no bake/ folder beside the tests: the script that made the tables is not here")
    spec = importlib.util.spec_from_file_location("embedded_dataset", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_makes_the_same_tables_again(bake: ModuleType, packaged: dict[str, Any]) -> None:
    motion = bake.Motion()
    for split in SPLITS:
        again = bake.rows_of(motion, split).to_pandas()
        for column in ("clip", "action", "frame", "offset", "mirrored", "focal"):
            assert (again[column].astype(str) == packaged[split][column].astype(str)).all(), column
        for column, tolerance in (("pose", 1), ("betas", 1), ("transl", 2e-3)):
            one, two = (np.stack(table[column].to_numpy()).astype(float) for table in (again, packaged[split]))
            close = np.abs(one - two) <= tolerance
            assert close.all(axis=1).mean() > 0.999, column  # a half turn may be written with either sign


def test_standing_frames_stand(bake: ModuleType) -> None:
    motion = bake.Motion()
    height = motion.rest[15, 1] - motion.rest[7, 1]
    for split in SPLITS:
        for clip, frame in motion.segments(split)["stand"]:
            assert clip in bake.STAND_CLIPS
            place = bake.forward_kinematics(motion.rotations[clip][frame : frame + 2], motion.rest)[1]
            assert ((place[:, 15, 1] - place[:, 7, 1]) > 0.8 * height).all()


def test_blocks_cover_a_clip_in_order_and_refuse_clips_too_short(bake: ModuleType) -> None:
    assert bake.guard_frames(60) == 6
    assert bake.guard_frames(16) == 2
    blocks = bake.blocks("run", 25, 30)
    assert blocks == [("train", 0, 3), ("val", 6, 8), ("train", 11, 13), ("test", 16, 18), ("train", 21, 24)]
    with pytest.raises(ValueError, match="has no two neighbours"):
        bake.blocks("run", 18, 30)
