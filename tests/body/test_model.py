"""Bulk posing against smplx in float64, and everything a caller relies on: chunks, threads, streams, fingerprints."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import subprocess
import sys
import sysconfig
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smplx
import torch
from smplx.utils import Struct

from hmrtk.toolkit.body import model as model_module
from hmrtk.toolkit.body.arrays import GENDERS
from hmrtk.toolkit.body.joints import J24_TO_J14, SPIN24_NAMES
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError

Draw = Callable[[int, int], BodyParameters]


def smplx_vertices(model: BodyModel, parameters: BodyParameters) -> tuple[np.ndarray, np.ndarray]:
    """The oracle: smplx in float64, chunked."""
    struct = Struct(
        v_template=model.v_template.astype(np.float64), shapedirs=model.shapedirs.astype(np.float64),
        posedirs=model.posedirs.astype(np.float64), weights=model.weights.astype(np.float64),
        J_regressor=model.joint_regressor.toarray().astype(np.float64), f=np.array(model.faces),
        kintree_table=np.stack([np.array(model.parents, np.int64), np.arange(24)]),
    )  # fmt: skip
    layer = smplx.SMPL("", data_struct=struct, dtype=torch.float64)
    vertices, joints = [], []
    for start in range(0, len(parameters), 32):
        part = parameters[start : start + 32]
        names = ("global_orient", "body_pose", "betas", "transl")
        given = {n: torch.tensor(getattr(part, n).reshape(len(part), -1), dtype=torch.float64) for n in names}
        with torch.inference_mode():
            output = layer(**given)
        vertices.append(output.vertices.numpy())
        joints.append(output.joints.numpy()[:, :24])
    return np.concatenate(vertices), np.concatenate(joints)


@pytest.mark.parametrize("gender", GENDERS)
@pytest.mark.parametrize("count", [1, 7, 64])
def test_agrees_with_smplx(gender: str, count: int, random_parameters: Draw) -> None:
    model = load_body(gender=gender)
    parameters = random_parameters(count, count)
    body = model.pose(parameters)
    vertices, joints = smplx_vertices(model, parameters)
    assert np.abs(body.vertices - vertices).max() < 2e-6
    assert np.abs(body.joints - joints).max() < 2e-6
    assert body.vertices.dtype == body.joints.dtype == np.float32


def test_agrees_with_smplx_for_a_large_batch(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(513, 1)
    vertices, _ = smplx_vertices(body, parameters)
    assert np.abs(body.pose(parameters).vertices - vertices).max() < 2e-6


def test_t_pose_is_the_template(body: BodyModel) -> None:
    posed = body.pose(BodyParameters.zeros(2))
    np.testing.assert_allclose(posed.vertices[1], body.v_template, atol=5e-7)


def test_half_turn_about_x_by_hand(body: BodyModel) -> None:
    posed = body.pose(BodyParameters.of([[np.pi, 0, 0]], None))
    pelvis = body.pose(BodyParameters.zeros(1)).joints[0, 0]
    np.testing.assert_allclose(posed.vertices[0], (body.v_template - pelvis) * [1, -1, -1] + pelvis, atol=1e-6)


def test_empty_batch(body: BodyModel) -> None:
    none = BodyParameters.zeros(0)
    posed = body.pose(none)
    assert posed.vertices.shape == (0, 6890, 3)
    assert body.joints(none).shape == body.spin24(posed).shape == body.spin24_joints(none).shape == (0, 24, 3)
    assert list(body.stream(none)) == []


def test_chunks_threads_and_neighbours_do_not_change_a_bit(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(133, 2)
    expected = body.pose(parameters, chunk=133)
    for chunk in (1, 3, 8, 50, 128):
        assert np.array_equal(body.pose(parameters, chunk=chunk).vertices, expected.vertices)
    for threads in (1, 2, 3, 5):
        posed = BodyModel(body.arrays, threads).pose(parameters)
        assert np.array_equal(posed.vertices, expected.vertices)
        assert np.array_equal(posed.joints, expected.joints)
    order = np.random.default_rng(0).permutation(133)
    assert np.array_equal(body.pose(parameters[order]).vertices, expected.vertices[order])
    assert np.array_equal(body.pose(parameters[::2]).vertices, expected.vertices[::2])


def test_stream_is_the_same_and_reuses_its_buffers(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(70, 3)
    expected = body.pose(parameters)
    seen, addresses = 0, set()
    for rows, part in body.stream(parameters, chunk=32):
        assert np.array_equal(part.vertices, expected.vertices[rows])
        assert np.array_equal(part.joints, expected.joints[rows])
        seen += rows.stop - rows.start
        addresses.add(part.vertices.ctypes.data)
    assert seen == 70
    assert len(addresses) == 1


def test_stream_has_bounded_memory(body: BodyModel) -> None:
    parameters = BodyParameters.zeros(1500)
    body.pose(parameters[:8])
    tracemalloc.start()
    for _ in body.stream(parameters, chunk=64):
        continue
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6  # 64 bodies are 5.3 MB, all of them 124 MB


def test_joints_without_vertices(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(40, 4)
    assert np.array_equal(body.joints(parameters), body.pose(parameters).joints)


def test_bad_chunk(body: BodyModel) -> None:
    with pytest.raises(InputError, match=r"chunk: expected at least 1, got 0"):
        body.pose(BodyParameters.zeros(1), chunk=0)


def test_many_callers_at_once(body: BodyModel, random_parameters: Draw) -> None:
    batches = [random_parameters(40, seed) for seed in range(6)]
    expected = [body.pose(b).vertices for b in batches]
    with ThreadPoolExecutor(6) as pool:
        for one, other in zip(pool.map(lambda b: body.pose(b).vertices, batches), expected, strict=True):
            assert np.array_equal(one, other)


def _pose_in_child(queue: Any) -> None:
    parameters = BodyParameters.of(np.full((32, 3), 0.3), np.full((32, 23, 3), 0.2))
    queue.put(float(BodyModel(load_body().arrays, threads=2).pose(parameters).vertices.sum(dtype=np.float64)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes_can_pose(method: str) -> None:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    _pose_in_child(queue)  # the parent's pool now exists
    child = context.Process(target=_pose_in_child, args=(queue,))
    child.start()
    values = [queue.get(timeout=120) for _ in range(2)]
    child.join(60)
    assert values[0] == values[1]


def test_regress_and_spin24(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(12, 5)
    posed = body.pose(parameters)
    dense = body.regressor("h36m17").toarray().astype(np.float64)
    np.testing.assert_allclose(body.regress(posed.vertices, "h36m17"), dense @ posed.vertices, atol=1e-6)
    assert body.regress(posed.vertices.reshape(3, 4, 6890, 3), "extra9").shape == (3, 4, 9, 3)
    assert body.regress(posed.vertices[0], "j14").shape == (14, 3)
    joints = body.spin24(posed)
    for name, smpl in {"right_ankle": 8, "left_knee": 4, "left_wrist": 20, "right_shoulder": 17}.items():
        assert np.array_equal(joints[:, SPIN24_NAMES.index(name)], posed.joints[:, smpl])
    for name, vertex in {"nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583, "right_ear": 4071}.items():
        assert np.array_equal(joints[:, SPIN24_NAMES.index(name)], posed.vertices[:, vertex])
    extra = body.regressor("extra9").toarray().astype(np.float64) @ posed.vertices
    np.testing.assert_allclose(joints[:, [2, 3, *range(12, 19)]], extra, atol=1e-6)


def test_spin24_of_many_bodies_is_the_same_to_the_bit(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(50, 6)
    expected = body.spin24(body.pose(parameters))
    assert np.array_equal(body.spin24_joints(parameters, chunk=7), expected)
    assert np.array_equal(body.spin24_joints(parameters), expected)


def test_the_two_ways_to_j14_agree_on_the_t_pose(body: BodyModel) -> None:
    posed = body.pose(BodyParameters.zeros(1))
    via_h36m = body.regress(posed.vertices, "j14")[0]
    via_spin = body.spin24(posed)[0, list(J24_TO_J14)]
    assert np.linalg.norm(via_h36m - via_spin, axis=1).max() < 0.03


def test_regress_refuses(body: BodyModel) -> None:
    vertices = np.zeros((6890, 3), np.float32)
    with pytest.raises(UnknownNameError, match=r"unknown regressor 'h36m'; known: h36m17"):
        body.regress(vertices, "h36m")
    with pytest.raises(InputError, match=r"spin24 also needs posed SMPL joints \(use BodyModel.spin24"):
        body.regress(vertices, "spin24")
    with pytest.raises(InputError, match=r"expected shape \(..., 6890, 3\), got \(6889, 3\)"):
        body.regress(vertices[1:], "h36m17")


@pytest.mark.parametrize("field", ["v_template", "shapedirs", "posedirs", "weights", "faces"])
def test_fingerprint_changes_with_any_value(body: BodyModel, field: str) -> None:
    changed = np.array(getattr(body.arrays, field))
    changed.reshape(-1)[-1] += 1
    assert BodyModel(dataclasses.replace(body.arrays, **{field: changed})).fingerprint != body.fingerprint


def test_fingerprint_sees_the_regressor_and_not_the_place(body: BodyModel) -> None:
    regressor = body.joint_regressor.copy()
    regressor.data[0] += 1e-4
    assert BodyModel(dataclasses.replace(body.arrays, joint_regressor=regressor)).fingerprint != body.fingerprint
    moved = BodyModel(dataclasses.replace(body.arrays, place="elsewhere.pkl", gender="male"))
    assert moved.fingerprint == body.fingerprint
    assert len(body.fingerprint) == 16
    assert int(body.fingerprint, 16) >= 0


def test_load_body(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HMRTK_BODY", raising=False)
    assert load_body() is load_body()
    assert load_body().place == "reference body"
    assert load_body(gender="female").gender == "female"
    monkeypatch.setenv("HMRTK_BODY", str(tmp_path / "missing.pkl"))
    with pytest.raises(InputError, match=r"missing.pkl: no such file or folder"):
        load_body()
    with pytest.raises(UnknownNameError, match=r"unknown gender"):
        load_body(gender="nobody")


POSE_ONE = "from hmrtk.toolkit.body import model, parameters as p; model.load_body().joints(p.BodyParameters.zeros(1))"


def test_kernels_are_cached_where_the_user_says(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", POSE_ONE], check=True, env=environment)
    assert list(tmp_path.rglob("kernels.forward_kinematics*.nbi"))


def test_kernels_are_cached_for_the_user_when_the_package_cannot_be_written(tmp_path: Path) -> None:
    toolkit = Path(model_module.__file__).resolve().parents[1]
    for part in ("errors.py", "__init__.py", "body"):
        copy = shutil.copytree if (toolkit / part).is_dir() else shutil.copy
        (tmp_path / "package/hmrtk/toolkit").mkdir(parents=True, exist_ok=True)
        copy(toolkit / part, tmp_path / "package/hmrtk/toolkit" / part)
    shutil.rmtree(tmp_path / "package/hmrtk/toolkit/body/__pycache__", ignore_errors=True)
    (tmp_path / "package/hmrtk/toolkit/body/__pycache__").write_text("a file: no folder can be made here, even by root")
    paths = [str(tmp_path / "package"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    code = f"import sys; sys.path[:0] = {paths!r}; {POSE_ONE}; assert model.__file__.startswith({paths[0]!r})"
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env=environment)  # -S: without the installed hmrtk
    assert list((tmp_path / "cache").rglob("kernels.forward_kinematics*.nbi"))


def test_loading_a_body_needs_neither_numba_nor_torch() -> None:
    code = "import sys; from hmrtk.toolkit.body.model import load_body; load_body(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numba", "torch", "smplx"} & set(loaded)
