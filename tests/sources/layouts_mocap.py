"""Writers of motion capture, which has no pictures."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from tests.sources import (
    test_aist,
    test_amass,
    test_amc,
    test_bvh,
    test_deepmimic,
)
from tests.sources.layout import ROWS, Layout, layout
from tests.sources.pictures import Known


def before_the_camera(body: BodyModel, pose: Any, betas: Any = None) -> Known:
    """People of a y-up world, as ``mocap`` says it puts them before its virtual camera: 5 m off, level, following."""
    posed = body.pose(BodyParameters.of(pose[:, 0], pose[:, 1:], betas))
    pelvis = posed.joints[:, :1].astype(float)
    vertices, joints = ((x - pelvis) * [1, -1, -1] + [0, 0, 5] for x in (posed.vertices, body.spin24(posed)))
    pixels, outline = (800 * x[..., :2] / x[..., 2:] + [320, 240] for x in (joints, vertices))
    return Known(pixels, joints, outline, vertices[..., 2])


@layout(("amass", "amass"))
def amass(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = mocap.random_pose(30, 3)
    content = test_amass.write(root / "KIT/3/kick_high02_poses.npz", pose)
    known = before_the_camera(body, pose[::12], np.tile(content["betas"][:10], (ROWS, 1)))
    return Layout(root, None, known, joints=True)


@layout(("aist", "aist"))
def aist(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = mocap.random_pose(18, 5)
    trans = np.tile([0.5, 0.9, -1.0], (18, 1)) * test_aist.SCALING
    test_aist.write(root / f"motions/{test_aist.NAME}.pkl", pose, smpl_trans=trans)
    return Layout(root, None, before_the_camera(body, pose[::6]), joints=True)


@layout(("bvh", "bvh"))
def bvh(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    names = test_bvh.names_of("SMPL")
    pose = test_bvh.without(mocap.random_pose(9, 1), names)
    root.mkdir(parents=True, exist_ok=True)
    (root / "walk_01.bvh").write_text(mocap.bvh_text(mocap.Rig(names), pose))
    return Layout(root, None, before_the_camera(body, pose[::3]), joints=True, bone=2e-3, tolerance=1.0)


@layout(("amc", "amc"))
def amc(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = mocap.random_pose(36, 11)
    test_amc.write(root, *mocap.asf_amc_text(test_amc.mapped(mocap), pose))
    return Layout(root, None, before_the_camera(body, pose[::12]), joints=True, bone=2e-3, tolerance=1.0)


@layout(("deepmimic", "deepmimic"))
def deepmimic(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = test_deepmimic.humanoid_pose(mocap, 9, 2)
    root.mkdir(parents=True, exist_ok=True)
    # there are no collars: the reader gives them a share of the arm's rise, which moves the shoulder by a centimetre
    (root / "clip.txt").write_text(json.dumps(mocap.deepmimic_document(pose)))
    return Layout(root, None, before_the_camera(body, pose[::3]), joints=True, bone=0.02, tolerance=5.0)
