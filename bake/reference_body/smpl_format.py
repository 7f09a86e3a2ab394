"""Facts of the SMPL format that the baked body shares: counts, joint order, the vertex numbers that tools hard-code.

Constants only; every stage imports from here.
"""

from __future__ import annotations

import numpy as np

VERTEX_COUNT = 6890
FACE_COUNT = 13776
JOINT_COUNT = 24
SHAPE_COUNT = 10
POSE_FEATURES = 9 * (JOINT_COUNT - 1)  # the entries of R - I of joints 1..23

GENDERS = ("neutral", "male", "female")

JOINT_NAMES = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
JOINT = {name: index for index, name in enumerate(JOINT_NAMES)}
PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21])
MIRROR_JOINTS = np.array([0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22])

MIRROR = np.array([-1.0, 1.0, 1.0])  # reflection of a point in the plane x = 0

# Vertex numbers that every SMPL tool hard-codes: smplx's VertexJointSelector picks face, finger and foot points by
# number, and SPIN's HeadTop is the single vertex 411. Whatever lies there must be that point of the body.
LANDMARK_SLOTS = {
    "nose": 332,
    "right_eye": 6260,
    "left_eye": 2800,
    "right_ear": 4071,
    "left_ear": 583,
    "right_thumb": 6191,
    "right_index": 5782,
    "right_middle": 5905,
    "right_ring": 6016,
    "right_pinky": 6133,
    "left_thumb": 2746,
    "left_index": 2319,
    "left_middle": 2445,
    "left_ring": 2556,
    "left_pinky": 2673,
    "left_big_toe": 3216,
    "left_small_toe": 3226,
    "left_heel": 3387,
    "right_big_toe": 6617,
    "right_small_toe": 6624,
    "right_heel": 6787,
    "crown": 411,
}
