"""Looks: JSON-able draws, and garments cut where the T-pose says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.normals import vertex_normals
from hmrtk.toolkit.synthesis.look import BELT, BOTTOM, HAIR, INNER, SHOES, SKIN, SOLE, TOP, draw_look, pack_look
from hmrtk.toolkit.synthesis.material import surface
from hmrtk.toolkit.synthesis.person import dressed_vertices
from hmrtk.toolkit.synthesis.restpose import Marks, rest_marks, rest_vertices


@pytest.fixture(scope="module")
def marks(body: BodyModel) -> Marks:
    return rest_marks(body)


def _look(**changes: dict) -> dict:
    look = draw_look(np.random.default_rng(0))
    look["top"].update({"cut": "t-shirt", "sleeve": 0.4, "open_half_m": 0.0, "neck_m": -0.01, "neck_depth_m": 0.0})
    look["bottom"].update({"kind": "trousers", "length": 0.98})
    look["shoes"].update({"kind": "low", "height_m": 0.0, "sock_m": -1.0})
    look["hair"].update({"shift_m": 0.0, "long": False, "beard": 0.0})
    for group, change in changes.items():
        look[group].update(change)
    return look


def test_landmarks_are_in_anatomical_order(marks: Marks) -> None:
    heights = (marks.sole_y, marks.ankle_y, marks.knee_y, marks.hip_y, marks.waist_y, marks.arm_y, marks.neck_y)
    assert list(heights) == sorted(heights)
    assert marks.neck_y < marks.nose_y < marks.eye_y < marks.top_y
    assert 0 < marks.shoulder_x < marks.elbow_x < marks.wrist_x
    assert marks.eye_x > 0, "the left eye is on +x"


def test_draws_are_json_and_repeat(marks: Marks) -> None:
    looks = [draw_look(np.random.default_rng(seed)) for seed in range(30)]
    assert json.loads(json.dumps(looks)) == looks
    assert draw_look(np.random.default_rng(7)) == looks[7]
    assert len({look["top"]["cut"] for look in looks}) >= 4
    for look in looks:
        packed = pack_look(look, marks)
        assert np.isfinite(packed.fabrics).all()
        assert packed.fabrics[:, :9].min() > 0
        assert packed.fabrics[:, :9].max() <= 0.9


def test_clothes_avoid_the_colour_behind(marks: Marks) -> None:
    grey = np.array([0.6, 0.6, 0.62])
    near = {
        name: np.mean(
            [
                np.abs(np.array(draw_look(np.random.default_rng(s), avoid)["top"]["fabric"]["colours"][0]) - grey).max()
                < 0.1
                for s in range(200)
            ]
        )
        for name, avoid in (("free", None), ("avoiding", grey))
    }
    assert near["avoiding"] < 0.25 * near["free"]


@pytest.mark.parametrize(
    ("place", "row"),
    [
        ("chest", TOP),
        ("upper arm", TOP),
        ("forearm", SKIN),
        ("hand", SKIN),
        ("thigh", BOTTOM),
        ("shin", BOTTOM),
        ("toes", SHOES),
        ("sole", SOLE),
        ("crown", HAIR),
        ("cheek", SKIN),
        ("neck", SKIN),
    ],
)
def test_garments_lie_where_they_belong(marks: Marks, place: str, row: int) -> None:
    points = {
        "chest": (0.05, marks.arm_y - 0.12, 0.12),
        "upper arm": (marks.shoulder_x + 0.1, marks.arm_y, marks.arm_z + 0.04),
        "forearm": (marks.elbow_x + 0.1, marks.arm_y, marks.arm_z + 0.03),
        "hand": (marks.wrist_x + 0.1, marks.arm_y, marks.arm_z),
        "thigh": (marks.leg_x, marks.hip_y - 0.15, 0.1),
        "shin": (marks.leg_x, marks.knee_y - 0.2, 0.07),
        "toes": (marks.ankle_x, marks.sole_y + 0.03, 0.2),
        "sole": (marks.ankle_x, marks.sole_y + 0.005, 0.1),
        "crown": (0.0, marks.top_y, marks.head_z),
        "cheek": (0.05, marks.nose_y, marks.eye_z - 0.03),
        "neck": (0.0, marks.neck_y + 0.02, marks.neck_z + 0.06),
    }
    packed = pack_look(_look(), marks)
    for side in (1, -1):
        x, y, z = points[place]
        assert surface(side * x, y, z, marks, packed)[4] == row


def test_parameters_move_the_cuts(marks: Marks) -> None:
    forearm = (marks.elbow_x + 0.1, marks.arm_y, marks.arm_z + 0.03)
    assert surface(*forearm, marks, pack_look(_look(top={"sleeve": 1.0}), marks))[4] == TOP
    shin = (marks.leg_x, marks.knee_y - 0.2, 0.07)
    assert surface(*shin, marks, pack_look(_look(bottom={"length": 0.3}), marks))[4] == SKIN
    toes = (marks.ankle_x, marks.sole_y + 0.03, 0.2)
    assert surface(*toes, marks, pack_look(_look(shoes={"kind": "barefoot"}), marks))[4] == SKIN
    crown = (0.0, marks.top_y, marks.head_z)
    assert surface(*crown, marks, pack_look(_look(hair={"shift_m": 0.3}), marks))[4] == SKIN


def test_face_has_eyes_and_lips(marks: Marks) -> None:
    packed = pack_look(_look(skin={"colour": [0.8, 0.6, 0.5]}), marks)
    pupil = surface(marks.eye_x, marks.eye_y, marks.eye_z, marks, packed)
    white = surface(marks.eye_x + 0.01, marks.eye_y, marks.eye_z, marks, packed)
    cheek = surface(0.03, marks.nose_y, marks.eye_z - 0.01, marks, packed)
    lips = surface(0.0, marks.nose_y - 0.7 * (marks.eye_y - marks.nose_y) + 0.004, marks.nose_z, marks, packed)
    assert max(pupil[:3]) < 0.05
    assert min(white[:3]) > 0.4
    assert lips[0] / lips[1] > 1.3 * cheek[0] / cheek[1]


def test_looseness_stays_in_its_range_and_is_none_unless_asked_for() -> None:
    loose = [draw_look(np.random.default_rng(seed), None, (0.005, 0.02))["loose_m"] for seed in range(20)]
    assert all(0.005 <= value <= 0.02 for look in loose for value in look.values())
    assert draw_look(np.random.default_rng(0))["loose_m"] == {"top": 0, "bottom": 0, "hair": 0}


def test_the_dressed_surface_is_the_skin_where_nothing_is_loose(marks: Marks, body: BodyModel) -> None:
    rest, packed = rest_vertices(body), pack_look(_look(), marks)
    vertices = body.v_template.astype(np.float32)
    normals = vertex_normals(vertices, body.faces)
    dressed, folded = dressed_vertices(vertices, normals, rest, marks, packed)
    assert np.array_equal(dressed, vertices)
    assert 0.001 < np.linalg.norm(folded - vertices, axis=1).max() < 0.03


def test_loose_clothes_and_hair_lie_outside_the_body_and_skin_and_shoes_on_it(marks: Marks, body: BodyModel) -> None:
    rest, look = rest_vertices(body), _look()
    look["loose_m"] = {"top": 0.02, "bottom": 0.015, "hair": 0.01}
    packed, vertices = pack_look(look, marks), body.v_template.astype(np.float32)
    normals = vertex_normals(vertices, body.faces)
    away = ((dressed_vertices(vertices, normals, rest, marks, packed)[0] - vertices) * normals).sum(axis=1)
    row = np.array([surface(*place, marks, packed)[4] for place in rest])
    cloth = np.isin(row, (TOP, BOTTOM, INNER, BELT, HAIR))
    assert np.abs(away[~cloth]).max() < 1e-6
    assert away[cloth].min() >= 0
    assert 0.02 < away[row == TOP].max() < 0.05
    waist = (row == TOP) & (np.abs(rest[:, 0]) < 0.1)
    low, high = rest[:, 1] < marks.waist_y, rest[:, 1] > marks.arm_y - 0.05
    assert away[waist & low].mean() > 1.5 * away[waist & high].mean(), "cloth rests on the shoulders"
