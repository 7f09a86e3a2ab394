"""Where things are on the T-pose: the places that garments, hair and faces are cut by.

In: a ``BodyModel``. Out: ``Marks``. Called by ``material`` (which cuts) and ``look`` (which places the cuts).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel

_NOSE, _LEFT_EYE = 332, 2800
"""SMPL vertex numbers of smplx's face key points."""


class Marks(NamedTuple):
    """Landmarks of one body's T-pose; metres in the body frame (y up, x to the left, z to the front)."""

    shoulder_x: float
    elbow_x: float
    wrist_x: float
    arm_y: float
    arm_z: float
    neck_y: float
    neck_z: float
    head_y: float
    head_z: float
    top_y: float
    eye_x: float
    eye_y: float
    eye_z: float
    nose_y: float
    nose_z: float
    waist_y: float
    pelvis_y: float
    hip_y: float
    leg_x: float
    leg_z: float
    knee_y: float
    ankle_x: float
    ankle_y: float
    sole_y: float


@functools.lru_cache(maxsize=8)
def rest_marks(body: BodyModel) -> Marks:
    """Measure the landmarks of a body with mean shape."""
    vertices = np.asarray(body.v_template, np.float64)
    joints = np.asarray(body.joint_regressor @ vertices)
    left = {"hip": 1, "spine": 3, "knee": 4, "ankle": 7, "neck": 12, "head": 15, "shoulder": 16, "elbow": 18}
    at = {name: joints[index] for name, index in left.items()}
    wrist, eye, nose = joints[20], vertices[_LEFT_EYE], vertices[_NOSE]
    values = (
        *(at["shoulder"][0], at["elbow"][0], wrist[0], at["elbow"][1], at["elbow"][2]),
        *(at["neck"][1], at["neck"][2], at["head"][1], at["head"][2], vertices[:, 1].max()),
        *(eye[0], eye[1], eye[2], nose[1], nose[2]),
        *(at["spine"][1], joints[0, 1], at["hip"][1], at["knee"][0], at["knee"][2], at["knee"][1]),
        *(at["ankle"][0], at["ankle"][1], vertices[:, 1].min()),
    )
    return Marks(*(float(value) for value in values))


@functools.lru_cache(maxsize=8)
def rest_vertices(body: BodyModel) -> NDArray[np.float64]:
    """(6890, 3) float64 T-pose, read-only."""
    vertices = np.array(body.v_template, np.float64)
    vertices.flags.writeable = False
    return vertices
