"""``PrototypeSet``: round trips, SPIN's file, fingerprints, and every way a file can be wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, OutputError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet, from_spin_mean_params, to_spin_mean_params

ARRAYS = (
    "global_orient",
    "body_pose",
    "rot6d",
    "betas",
    "camera",
    "counts",
    "mean_distance",
    "singular_global_orient",
    "singular_body_pose",
    "singular_betas",
)


@pytest.fixture
def three(bodies: BodyParameters, body: BodyModel) -> PrototypeSet:
    metadata = {
        "body": body.fingerprint,
        "method": "p3dh",
        "weights": {"limbs": 5.0},
        "history": [{"mean_distance": 1.5}],
    }
    return PrototypeSet.of(bodies[:3], metadata, np.array([5, 2, 9]), np.array([0.1, 0.2, 0.3]), bodies[[7]])


def test_round_trip(three: PrototypeSet, tmp_path: Path) -> None:
    three.save(tmp_path / "p.safetensors")
    back = PrototypeSet.load(tmp_path / "p.safetensors")
    for name in ("global_orient", "body_pose", "rot6d", "betas", "camera", "counts", "mean_distance"):
        np.testing.assert_array_equal(getattr(back, name), getattr(three, name))
    np.testing.assert_array_equal(back.singular.pose, three.singular.pose)
    assert back.metadata == {**three.metadata, "k": 3}
    assert back.fingerprint == three.fingerprint
    assert (back.parameters.transl == 0).all()
    assert back.place == str(tmp_path / "p.safetensors")


def test_file_has_the_designed_arrays_and_the_same_bytes_each_time(three: PrototypeSet, tmp_path: Path) -> None:
    for name in ("a", "b"):
        three.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]
    arrays = load_file(tmp_path / "a")
    assert set(arrays) == set(ARRAYS)
    assert arrays["rot6d"].shape == (3, 24, 6)
    first = Rotation.from_rotvec(three.body_pose[1, 4]).as_matrix()[:, :2].reshape(6)
    np.testing.assert_allclose(arrays["rot6d"][1, 5], first, atol=1e-6)


def test_fingerprint_follows_the_bodies_only(three: PrototypeSet, bodies: BodyParameters) -> None:
    other = PrototypeSet.of(bodies[:3], {"method": "other"}, singular=bodies[[7]])
    assert other.fingerprint == three.fingerprint
    assert PrototypeSet.of(bodies[1:4], {}, singular=bodies[[7]]).fingerprint != three.fingerprint


def test_singular_set_is_one_prototype_of_the_same_body(three: PrototypeSet) -> None:
    single = three.singular_set()
    assert len(single) == 1
    assert single.body == three.body
    assert single.metadata["method"] == "mean"
    np.testing.assert_array_equal(single.parameters.pose, three.singular.pose)


def test_several_prototypes_need_a_singular_one(bodies: BodyParameters) -> None:
    with pytest.raises(InputError, match="prototypes: 3 prototypes need the singular prototype"):
        PrototypeSet.of(bodies[:3], {})


def test_body_mismatch_names_both(three: PrototypeSet, body: BodyModel) -> None:
    three.check_body(body)
    other = load_body(gender="male")
    with pytest.raises(BodyMismatchError, match=f"made with body {body.fingerprint}, .*{other.fingerprint}"):
        three.check_body(other)


def altered(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        for name, value in changes.items():
            arrays.pop(name) if value is None else arrays.update({name: value})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (altered(betas=None), "has no array betas"),
        (altered(singular_betas=None), "has no array singular_betas"),
        (altered(global_orient=None), "has no array global_orient"),
        (
            altered(body_pose=np.zeros((3, 22, 3), np.float32)),
            r"body_pose has shape \(3, 22, 3\), expected \(3, 23, 3\)",
        ),
        (altered(counts=np.zeros(4, np.int64)), r"counts has shape \(4,\), expected \(3,\)"),
        (altered(global_orient=np.zeros((0, 3), np.float32)), r"global_orient has shape \(0, 3\)"),
        (altered(rot6d=np.full((3, 24, 6), np.nan, np.float32)), "rot6d has NaN or infinite values"),
        (altered(betas=np.full((3, 10), 99, np.float32)), r"prototype row 0: \|betas\| reaches 99"),
    ],
)
def test_wrong_arrays_are_named(
    three: PrototypeSet, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = tmp_path / "p.safetensors"
    three.save(path)
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path, {"hmrtk": json.dumps({"kind": "hmrtk.prototypes", "schema_version": 1})})
    with pytest.raises(InputError, match=message) as caught:
        PrototypeSet.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"hmrtk": json.dumps({"kind": "hmrtk.checkpoint", "schema_version": 1})}, "got hmrtk.checkpoint"),
        (None, "expected hmrtk.prototypes, got a file that hmrtk did not write"),
        ({"hmrtk": json.dumps({"kind": "hmrtk.prototypes", "schema_version": 2})}, "reads up to 1 \\(upgrade hmrtk\\)"),
        ({"hmrtk": json.dumps({"kind": "hmrtk.prototypes"})}, "has schema version None"),
        ({"hmrtk": "[1"}, "is not a readable safetensors file"),
        ({"hmrtk": "[1]"}, "got a file that hmrtk did not write"),
    ],
)
def test_foreign_headers(three: PrototypeSet, tmp_path: Path, header: dict[str, str] | None, message: str) -> None:
    path = tmp_path / "p.safetensors"
    three.save(path)
    save_file(load_file(path), path, header)
    with pytest.raises(InputError, match=message):
        PrototypeSet.load(path)


def test_missing_truncated_and_foreign_files(three: PrototypeSet, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    with pytest.raises(InputError, match="no such file"):
        PrototypeSet.load(path)
    with pytest.raises(InputError, match="is a directory"):
        PrototypeSet.load(tmp_path)
    three.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="is not a readable safetensors file \\(truncated, or another format\\)"):
        PrototypeSet.load(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="is not a readable safetensors file"):
        PrototypeSet.load(path)


def test_unwritable_place_leaves_nothing(three: PrototypeSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        three.save(tmp_path / "file" / "p.safetensors")


def spin_file(path: Path, **changes: Any) -> Path:
    """SPIN's layout: the root is diag(1, −1, −1), every other joint unturned."""
    pose = np.tile(np.array([1, 0, 0, 1, 0, 0], np.float32), 24)
    pose[:6] = [1, 0, 0, -1, 0, 0]
    arrays = {"pose": pose, "shape": np.linspace(-0.3, 0.4, 10, dtype=np.float32), "cam": np.float32([0.9, 0, 0])}
    np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
    return path


def test_spin_mean_parameters_come_in_and_go_out(tmp_path: Path) -> None:
    given = spin_file(tmp_path / "smpl_mean_params.npz")
    mean = from_spin_mean_params(given)
    np.testing.assert_allclose(np.abs(mean.global_orient), [[np.pi, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(mean.body_pose, 0, atol=1e-6)
    np.testing.assert_allclose(mean.betas[0], np.linspace(-0.3, 0.4, 10), rtol=1e-6)
    assert len(mean) == 1
    mean.check_body(load_body(gender="male"))  # names no body, so it fits any
    to_spin_mean_params(mean, tmp_path / "out.npz")
    with np.load(given) as a, np.load(tmp_path / "out.npz") as b:
        assert sorted(a.files) == sorted(b.files)
        for name in a.files:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_allclose(a[name], b[name], atol=1e-6)


def test_a_spin_import_survives_saving(tmp_path: Path) -> None:
    mean = from_spin_mean_params(spin_file(tmp_path / "s.npz"))
    mean.save(tmp_path / "p.safetensors")
    back = PrototypeSet.load(tmp_path / "p.safetensors")
    assert back.fingerprint == mean.fingerprint
    assert back.metadata["source"] == "s.npz"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cam": None}, "has no array cam \\(expected SPIN's smpl_mean_params.npz"),
        ({"pose": np.zeros(72, np.float32)}, r"pose has shape \(72,\), expected \(144,\)"),
        ({"shape": np.full(10, np.inf, np.float32)}, "shape has NaN or infinite values"),
        ({"pose": np.zeros(144, np.float32)}, "pose is no rotation"),
        ({"pose": np.array([object()])}, "is not a readable npz file"),
    ],
)
def test_bad_spin_files(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_spin_mean_params(spin_file(tmp_path / "s.npz", **changes))


def test_missing_and_damaged_spin_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        from_spin_mean_params(tmp_path / "s.npz")
    path = spin_file(tmp_path / "s.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="is not a readable npz file"):
        from_spin_mean_params(path)


def test_networks_can_read_prototypes_without_the_clustering_libraries() -> None:
    code = (
        "import sys; import hmrtk.toolkit.prototypes.prototype_set; "
        "print(sorted({'faiss', 'numba', 'torch', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
