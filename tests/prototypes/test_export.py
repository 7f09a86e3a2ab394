"""Meshes and parameters for other programs: what independent readers find in the files is what was put in."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, OutputError
from hmrtk.toolkit.prototypes import export
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet, from_spin_mean_params, to_spin_mean_params


@pytest.fixture(scope="module")
def three(body: BodyModel) -> PrototypeSet:
    """Three upright, differently turned people of 2, 9 and 5 samples, in the camera frame."""
    orient = [[np.pi, 0, 0], [np.pi, 0.1, 0], [np.pi, 0, 0.2]]
    rng = np.random.default_rng(0)
    bodies = BodyParameters.of(orient, 0.1 * rng.normal(size=(3, 23, 3)), rng.normal(size=(3, 10)))
    meta = {"body": body.fingerprint, "method": "p3dh"}
    distances = np.array([0.1, 0.2, 0.3])
    return PrototypeSet.of(bodies, meta, np.array([2, 9, 5]), distances, bodies[[0]], (0.8, 0.1, -0.2))


@pytest.fixture(scope="module")
def expected(three: PrototypeSet, body: BodyModel) -> NDArray[np.float32]:
    return body.pose(three.parameters).vertices * np.array([1, -1, -1], np.float32)


# -- memory -----------------------------------------------------------------------------------------------------------


def test_memory_has_the_documented_order(three: PrototypeSet) -> None:
    memory = export.memory_array(three)
    assert memory.shape == (3, 157)
    assert memory.dtype == np.float32
    # half a turn around x: the first two columns are (1, 0, 0) and (0, -1, 0), interleaved
    np.testing.assert_allclose(memory[0, :6], [1, 0, 0, -1, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(memory[:, 144:154], three.betas)
    np.testing.assert_array_equal(memory[:, 154:], np.tile(np.float32([0.8, 0.1, -0.2]), (3, 1)))


def test_memory_row_of_the_singular_prototype_is_spins_file(three: PrototypeSet, tmp_path: Path) -> None:
    to_spin_mean_params(three, tmp_path / "mean.npz")
    with np.load(tmp_path / "mean.npz") as file:
        row = np.concatenate([file["pose"], file["shape"], file["cam"]])
    np.testing.assert_array_equal(export.memory_array(three)[0], row)
    assert len(from_spin_mean_params(tmp_path / "mean.npz")) == 1


def test_memory_round_trip(bodies: BodyParameters, body: BodyModel) -> None:
    few = bodies[:20]
    prototypes = PrototypeSet.of(few, {"body": body.fingerprint}, singular=few[[0]])
    back, camera = export.memory_bodies(export.memory_array(prototypes))
    difference = np.abs(body.pose(back).vertices - body.pose(prototypes.parameters).vertices).max()
    assert difference < 1e-5
    np.testing.assert_array_equal(camera, np.tile(prototypes.camera, (20, 1)))


def test_memory_file_is_plain_npy(three: PrototypeSet, tmp_path: Path) -> None:
    export.write_memory(three, tmp_path / "memory.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "memory.npy", allow_pickle=False), export.memory_array(three))


def test_a_memory_of_another_shape_or_with_nan_is_refused(three: PrototypeSet) -> None:
    memory = export.memory_array(three)
    with pytest.raises(InputError, match=r"memory: expected shape \(K, 157\), got \(3, 154\)"):
        export.memory_bodies(memory[:, :154])
    memory[1, 7] = np.nan
    with pytest.raises(InputError, match="memory row 1: has NaN"):
        export.memory_bodies(memory)


# -- meshes -----------------------------------------------------------------------------------------------------------


def test_upright_people_have_their_heads_up_and_face_the_viewer(expected: NDArray[np.float32], body: BodyModel) -> None:
    joints = body.regress(expected, "smpl24")
    assert (joints[:, 15, 1] > joints[:, 0, 1] + 0.4).all()  # head over pelvis
    assert (joints[:, 10, 2] > joints[:, 7, 2] + 0.05).all()  # toes before ankles, towards +z


def _parsed(data: bytes) -> tuple[dict[str, Any], bytes]:
    """A reader of the container of its own: header, two chunks, alignment, lengths."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    binary, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0"
    assert binary % 4 == 0
    assert 28 + size + binary == len(data)
    return document, data[28 + size :]


def _accessor(document: dict[str, Any], buffer: bytes, number: int) -> NDArray[Any]:
    entry = document["accessors"][number]
    view = document["bufferViews"][entry["bufferView"]]
    assert view["byteOffset"] % 4 == 0
    kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[entry["componentType"]]
    width = {"SCALAR": 1, "VEC3": 3}[entry["type"]]
    end = view["byteOffset"] + view["byteLength"]
    return np.frombuffer(buffer[view["byteOffset"] : end], kind).reshape(entry["count"], width)


def test_glb_by_an_independent_parser(
    three: PrototypeSet, body: BodyModel, expected: NDArray[np.float32], tmp_path: Path
) -> None:
    export.write_glb(three, body, tmp_path / "p.glb")
    document, buffer = _parsed((tmp_path / "p.glb").read_bytes())
    assert document["buffers"][0]["byteLength"] <= len(buffer)
    assert [n["name"] for n in document["nodes"]] == ["prototype-01", "prototype-02", "prototype-00"]
    assert [n["extras"]["samples"] for n in document["nodes"]] == [9, 5, 2]
    assert document["nodes"][0]["extras"]["mean_distance_m"] == pytest.approx(0.2)
    assert len({tuple(n["translation"]) for n in document["nodes"]}) == 3
    for node, index in zip(document["nodes"], (1, 2, 0), strict=True):
        primitive = document["meshes"][node["mesh"]]["primitives"][0]
        position = document["accessors"][primitive["attributes"]["POSITION"]]
        points = _accessor(document, buffer, primitive["attributes"]["POSITION"])
        np.testing.assert_allclose(points, expected[index], atol=1e-6)
        np.testing.assert_array_equal(np.float32(position["min"]), points.min(axis=0))
        np.testing.assert_array_equal(np.float32(position["max"]), points.max(axis=0))
        normals = _accessor(document, buffer, primitive["attributes"]["NORMAL"])
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        faces = _accessor(document, buffer, primitive["indices"]).reshape(-1, 3)
        np.testing.assert_array_equal(faces, body.faces)
    assert document["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_glb_opens_in_trimesh(three: PrototypeSet, body: BodyModel, tmp_path: Path) -> None:
    export.write_glb(three, body, tmp_path / "p.glb")
    scene = trimesh.load_scene(tmp_path / "p.glb", process=False)
    assert sorted(scene.geometry) == ["prototype-00", "prototype-01", "prototype-02"]
    for mesh in scene.geometry.values():
        assert mesh.vertices.shape == (6890, 3)
        assert mesh.is_winding_consistent
        assert mesh.volume > 0.02  # outward faces: cubic metres, not their negative


def test_obj_files(three: PrototypeSet, body: BodyModel, expected: NDArray[np.float32], tmp_path: Path) -> None:
    paths = export.write_obj_folder(three, body, tmp_path / "obj")
    assert [p.name for p in paths] == ["prototype-00.obj", "prototype-01.obj", "prototype-02.obj"]
    for path, vertices in zip(paths, expected, strict=True):
        mesh = trimesh.load_mesh(path, process=False)
        np.testing.assert_allclose(mesh.vertices, vertices, atol=1e-6)
        np.testing.assert_array_equal(mesh.faces, body.faces)


def test_names_sort_by_index() -> None:
    assert export.prototype_name(7, 10) == "prototype-07"
    assert export.prototype_name(7, 1001) == "prototype-0007"
    names = [export.prototype_name(i, 101) for i in range(101)]
    assert names == sorted(names)


def test_another_body_and_an_unwritable_place(three: PrototypeSet, body: BodyModel, tmp_path: Path) -> None:
    strange = PrototypeSet.of(three.parameters, {"body": "f" * 16}, singular=three.singular)
    with pytest.raises(BodyMismatchError):
        export.write_glb(strange, body, tmp_path / "p.glb")
    with pytest.raises(BodyMismatchError):
        export.write_obj_folder(strange, body, tmp_path / "obj")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        export.write_memory(three, tmp_path / "file" / "memory.npy")
    assert not (tmp_path / "p.glb").exists()
