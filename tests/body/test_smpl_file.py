"""SMPL files in every layout they come in, and files that must be refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from hmrtk.toolkit.body.arrays import SMPLArrays, check_arrays
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.smpl_file import read_smpl_file
from hmrtk.toolkit.errors import InputError, UnknownNameError

Foreign = dict[str, Any]


def assert_is_foreign(arrays: SMPLArrays, foreign: Foreign) -> None:
    np.testing.assert_array_equal(arrays.v_template, foreign["v_template"].astype(np.float32))
    np.testing.assert_array_equal(arrays.shapedirs, foreign["shapedirs"][:, :, :10].astype(np.float32))
    np.testing.assert_array_equal(arrays.posedirs, foreign["posedirs"].astype(np.float32))
    np.testing.assert_array_equal(arrays.weights, foreign["weights"].astype(np.float32))
    np.testing.assert_array_equal(arrays.faces, foreign["f"])
    np.testing.assert_array_equal(arrays.joint_regressor.toarray(), foreign["J_regressor"].toarray().astype(np.float32))
    assert arrays.parents[0] == -1


def dense(foreign: Foreign) -> Foreign:
    return {**foreign, "J_regressor": foreign["J_regressor"].toarray()}


def test_v1_0_0_with_chumpy_objects(foreign: Foreign, foreign_pickle: bytes, tmp_path: Path) -> None:
    path = tmp_path / "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(foreign_pickle)
    assert b"chumpy.reordering\nSelect" in foreign_pickle
    assert b"scipy.sparse.csc\ncsc_matrix" in foreign_pickle
    assert b"numpy.core.multiarray\n_reconstruct" in foreign_pickle
    assert b"chumpy.ch_ops\nadd" in foreign_pickle
    arrays = read_smpl_file(path)
    assert_is_foreign(arrays, foreign)
    assert arrays.place == str(path)
    assert BodyModel(arrays).fingerprint != load_body().fingerprint


def test_v1_1_0_with_300_shapes(foreign: Foreign, python2: Any, tmp_path: Path) -> None:
    shapes = np.zeros((6890, 3, 300))
    shapes[:, :, :12] = foreign["shapedirs"]
    path = tmp_path / "SMPL_MALE.pkl"
    path.write_bytes(python2.dump({**foreign, "shapedirs": python2.ch(shapes)}))
    arrays = read_smpl_file(path, "male")
    assert_is_foreign(arrays, foreign)
    assert arrays.gender == "male"


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_files_written_again_by_python_3(foreign: Foreign, tmp_path: Path, protocol: int) -> None:
    small = {**foreign, "posedirs": foreign["posedirs"].astype(np.float16).astype(np.float32)}
    small["shapedirs"] = np.asfortranarray(foreign["shapedirs"].astype(">f4"))
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(small, protocol=protocol))
    assert_is_foreign(read_smpl_file(path), small)


@pytest.mark.parametrize("form", ["csr_matrix", "csc_array"])
def test_other_sparse_forms(foreign: Foreign, tmp_path: Path, form: str) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({**foreign, "J_regressor": getattr(sp, form)(foreign["J_regressor"])}))
    assert_is_foreign(read_smpl_file(path), foreign)


def test_reordered_chumpy_objects(foreign: Foreign, python2: Any, tmp_path: Path) -> None:
    v = foreign["v_template"]
    content = {
        **foreign,
        "v_template": python2.object("Reshape", a=python2.ch(v.ravel()), newshape=(6890, 3)),
        "weights": python2.object("transpose", a=python2.ch(foreign["weights"].T), axes=None),
        "shapedirs": python2.object(
            "Concatenate", dterms=["m0", "m1"], axis=2,
            m0=python2.ch(foreign["shapedirs"][:, :, :4]), m1=python2.ch(foreign["shapedirs"][:, :, 4:]),
        ),
    }  # fmt: skip
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(python2.dump(content))
    assert_is_foreign(read_smpl_file(path), foreign)


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_protocols_of_chumpy_objects(foreign: Foreign, python2: Any, tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(python2.dump({**foreign, "v_template": python2.ch(foreign["v_template"])}, protocol))
    assert b"copy_reg\n_reconstructor" in path.read_bytes()
    assert_is_foreign(read_smpl_file(path), foreign)


def test_npz(foreign: Foreign, tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **dense(foreign))
    assert_is_foreign(read_smpl_file(tmp_path / "SMPL_NEUTRAL.npz"), foreign)


@pytest.mark.parametrize("folder", ["", "smpl", "models/smpl"])
def test_folders_and_genders(foreign: Foreign, tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    np.savez(place / "SMPL_NEUTRAL.npz", **dense(foreign))
    taller = {**foreign, "v_template": foreign["v_template"] * 1.1}
    np.savez(place / "SMPL_MALE.npz", **dense(taller))
    assert_is_foreign(read_smpl_file(tmp_path, "neutral"), foreign)
    assert_is_foreign(read_smpl_file(tmp_path, "male"), taller)
    assert read_smpl_file(place / "SMPL_NEUTRAL.npz", "male").gender == "male"  # the file beside it
    assert read_smpl_file(place / "SMPL_MALE.npz", "male").gender == "male"
    assert read_smpl_file(place / "SMPL_MALE.npz").gender == "male"
    with pytest.raises(InputError, match=r"has no female SMPL body .*SMPL_FEMALE.pkl"):
        read_smpl_file(tmp_path, "female")
    with pytest.raises(InputError, match=r"is not a female body \(put SMPL_FEMALE.pkl beside it\)"):
        read_smpl_file(place / "SMPL_NEUTRAL.npz", "female")


def test_official_names_in_a_folder(foreign: Foreign, foreign_pickle: bytes, tmp_path: Path) -> None:
    (tmp_path / "basicmodel_f_lbs_10_207_0_v1.1.0.pkl").write_bytes(foreign_pickle)
    arrays = read_smpl_file(tmp_path, "female")
    assert arrays.gender == "female"
    assert_is_foreign(arrays, foreign)


def test_environment_variable(foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **dense(foreign))
    monkeypatch.setenv("HMRTK_BODY", str(tmp_path))
    assert load_body().place == str(tmp_path / "SMPL_NEUTRAL.npz")
    with pytest.raises(UnknownNameError, match=r"unknown gender 'x'"):
        read_smpl_file(tmp_path, "x")


class Evil:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(("function", "name"), [(os.system, "system"), (eval, "eval"), (getattr, "getattr")])
def test_code_in_a_pickle_is_refused(tmp_path: Path, protocol: int, function: Any, name: str) -> None:
    flag = tmp_path / "executed"
    arguments = {"system": [f"touch {flag}"], "eval": [f"open({str(flag)!r}, 'w')"], "getattr": [flag, "touch"]}[name]
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({"v_template": Evil(function, *arguments)}, protocol))
    with pytest.raises(InputError, match=rf"SMPL_NEUTRAL.pkl: holds a \S*\.{name}, which hmrtk does not load"):
        read_smpl_file(path)
    assert not flag.exists()


def test_hand_written_attacks(tmp_path: Path) -> None:
    flag = tmp_path / "executed"
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    attacks = [
        b"cchumpy.os\nsystem\n(S'touch " + str(flag).encode() + b"'\ntR.",  # recorded, never called
        b"(ios\nsystem\n.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"ccollections\nOrderedDict.__init__\n.",
        b"c__builtin__\nset\n(S'__class__'\nS'x'\ndb.",
        b"\x80\x02\x82\x01.",  # an extension code
        b"\x80\x04Pid\n.",  # a persistent id
        b"\x80\x04\x8c\x02a\n\x8c\x02b\n\x93.",  # names with line breaks
    ]
    for attack in attacks:
        path.write_bytes(attack)
        with pytest.raises(InputError, match=r"SMPL_NEUTRAL.pkl: ") as caught:
            read_smpl_file(path)
        assert "\n" not in str(caught.value)
    assert not flag.exists()


def test_a_chumpy_class_that_computes_is_named(foreign: Foreign, python2: Any, tmp_path: Path) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(python2.dump({**foreign, "weights": python2.object("add", a=1, b=2)}))
    with pytest.raises(InputError, match=r"SMPL_NEUTRAL.pkl: weights is a chumpy.ch_ops.add, expected numbers"):
        read_smpl_file(path)


def test_a_chumpy_cycle_ends(foreign: Foreign, python2: Any, tmp_path: Path) -> None:
    loop = python2.object("Reshape", newshape=(1,))
    loop.a = loop
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(python2.dump({**foreign, "v_template": loop}))
    with pytest.raises(InputError, match=r"v_template is a chumpy object that is nested too deep"):
        read_smpl_file(path)


def test_a_sparse_matrix_with_wild_indices_is_refused(foreign: Foreign, tmp_path: Path) -> None:
    wild = foreign["J_regressor"].copy()
    wild.indices[0] = 2**20
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({**foreign, "J_regressor": wild}))
    with pytest.raises(InputError, match=r"J_regressor is damaged: "):
        read_smpl_file(path)


def test_object_arrays_are_refused(foreign: Foreign, tmp_path: Path) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({**foreign, "weights": np.array([None, 1], object)}))
    with pytest.raises(InputError, match=r"weights is a array of 'O8', expected numbers"):
        read_smpl_file(path)
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **{**foreign, "J_regressor": np.array(foreign["J_regressor"], object)})
    with pytest.raises(InputError, match=r"is not a readable .npz of plain arrays: Object arrays"):
        read_smpl_file(tmp_path / "SMPL_NEUTRAL.npz")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999999])
@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_truncated_files(foreign: Foreign, foreign_pickle: bytes, tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"SMPL_NEUTRAL{suffix}"
    if suffix == ".npz":
        np.savez(path, **dense(foreign))
    whole = foreign_pickle if suffix == ".pkl" else path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=rf"SMPL_NEUTRAL{suffix}: is not a readable") as caught:
        read_smpl_file(path)
    assert "\n" not in str(caught.value)


def test_random_damage_never_escapes_as_another_error(foreign: Foreign, tmp_path: Path) -> None:
    head = pickle.dumps({k: v for k, v in foreign.items() if k in ("J_regressor", "kintree_table")}, protocol=2)
    rng = np.random.default_rng(0)
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    for _ in range(300):
        damaged = bytearray(head)
        for place in rng.integers(0, len(head), 3).tolist() + rng.integers(0, 400, 2).tolist():
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with pytest.raises(InputError):
            read_smpl_file(path)


def test_missing_and_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.pkl: no such file or folder"):
        read_smpl_file(tmp_path / "nothing.pkl")
    with pytest.raises(InputError, match=r"has no neutral SMPL body"):
        read_smpl_file(tmp_path)
    (tmp_path / "body.obj").write_text("v 0 0 0")
    with pytest.raises(InputError, match=r"body.obj: has the suffix '.obj', expected .pkl or .npz"):
        read_smpl_file(tmp_path / "body.obj")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match=r"list.pkl: holds a list, expected a dictionary"):
        read_smpl_file(tmp_path / "list.pkl")
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"pose": [1.0]}))
    with pytest.raises(InputError, match=r"other.pkl: has no kintree_table.*\(expected an SMPL file\)"):
        read_smpl_file(tmp_path / "other.pkl")


@pytest.mark.parametrize("key", ["v_template", "shapedirs", "posedirs", "weights", "J_regressor", "f", "kintree_table"])
def test_missing_key(foreign: Foreign, key: str) -> None:
    with pytest.raises(InputError, match=rf"x.pkl: has no {key}; found .*"):
        check_arrays({k: v for k, v in foreign.items() if k != key}, "neutral", "x.pkl")


WRONG: dict[str, tuple[str, Any, str]] = {
    "template": ("v_template", np.zeros((6889, 3)), r"v_template has shape \(6889, 3\), expected \(6890, 3\)"),
    "few shapes": (
        "shapedirs",
        np.zeros((6890, 3, 9)),
        r"shapedirs has shape .* 9\), expected \(6890, 3, 10 or",
    ),
    "flat shapes": ("shapedirs", np.zeros((10, 20670)), r"shapedirs has shape \(10, 20670\), expected"),
    "turned poses": (
        "posedirs",
        np.zeros((207, 20670)),
        r"posedirs has shape \(207, 20670\), expected \(6890",
    ),
    "heavy": ("weights", np.full((6890, 24), 0.1), r"x.pkl row 0: weights sum to 2.4000, expected 1"),
    "smplx": ("J_regressor", np.zeros((55, 10475)), r"J_regressor has shape \(55, 10475\), expected \(24, 6890\)"),
    "faces": ("f", np.full((13776, 3), 6890), r"f names vertices 6890..6890, expected 0..6889"),
    "tree": ("kintree_table", np.zeros((2, 24)), r"kintree_table's parents are \[-1, 0, 0, 0, 0.*expected SMPL's"),
    "text": ("weights", np.full((6890, 24), "a"), r"weights has type <U1, expected numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arrays(foreign: Foreign, case: str) -> None:
    key, value, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        check_arrays({**foreign, key: value}, "neutral", "x.pkl")


@pytest.mark.parametrize("key", ["v_template", "shapedirs", "posedirs", "weights", "J_regressor"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(foreign: Foreign, key: str, value: float) -> None:
    changed = foreign[key].copy()
    (changed.data if key == "J_regressor" else changed.reshape(-1))[3] = value
    with pytest.raises(InputError, match=f"x.pkl: {key} has NaN or infinite values"):
        check_arrays({**foreign, key: changed}, "neutral", "x.pkl")
