"""What the body tests share: random parameters that cover the hard rotations, a foreign body, Python-2 pickles."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse as sp

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters

OLD_MODULES = {
    "numpy._core.multiarray": "numpy.core.multiarray",
    "scipy.sparse._csc": "scipy.sparse.csc",
    "scipy.sparse._csr": "scipy.sparse.csr",
    "builtins": "__builtin__",
    "copyreg": "copy_reg",
}


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 writes: text and arrays as 8-bit strings, and the module names of that time."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value: bytes | str) -> None:
        data = value if isinstance(value, bytes) else value.encode("latin1")
        if len(data) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)

    dispatch[bytes] = dispatch[str] = save_string

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = OLD_MODULES.get(obj.__module__, obj.__module__)
        self.write(pickle.GLOBAL + f"{module}\n{name or obj.__name__}\n".encode())

    dispatch[type] = dispatch[type(len)] = dispatch[type(lambda: 0)] = save_global


def python2_pickle(value: Any, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol).dump(value)
    return stream.getvalue()


def _chumpy_class(module: str, name: str) -> type:
    return type(name, (), {"__module__": module})


CHUMPY = {
    name: _chumpy_class(module, name)
    for module, name in [
        ("chumpy.ch", "Ch"),
        ("chumpy.reordering", "Select"),
        ("chumpy.reordering", "Reshape"),
        ("chumpy.reordering", "transpose"),
        ("chumpy.reordering", "Concatenate"),
        ("chumpy.ch_ops", "add"),
    ]
}


def chumpy_object(name: str, **state: Any) -> Any:
    """A stand-in that pickles as the chumpy class of that name does: its attributes, without weak references."""
    made = CHUMPY[name]()
    made.__dict__.update(_dirty_vars=set(), _itr=None, _make_dense=False, _depends_on_deps={}, **state)
    return made


def ch(values: Any) -> Any:
    return chumpy_object("Ch", x=np.asarray(values, np.float64))


@pytest.fixture(scope="session")
def python2() -> SimpleNamespace:
    """``dump(value, protocol=2)`` as Python 2 would, ``ch(values)``, and ``object(chumpy class, **state)``."""
    return SimpleNamespace(dump=python2_pickle, ch=ch, object=chumpy_object)


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="session")
def gendered_models() -> dict[str, BodyModel]:
    """The reference body in its three genders."""
    return {gender: load_body(gender=gender) for gender in ("neutral", "male", "female")}


@pytest.fixture(scope="session")
def random_parameters() -> Callable[[int, int], BodyParameters]:
    """(count, seed) → bodies whose rotations include zero, tiny, half and more than full turns."""

    def draw(count: int, seed: int) -> BodyParameters:
        rng = np.random.default_rng(seed)
        pose = rng.normal(size=(count, 24, 3))
        pose /= np.linalg.norm(pose, axis=-1, keepdims=True)
        angles = [0.0, 1e-10, 1e-6, 1e-3, np.pi / 2, np.pi - 1e-6, np.pi, np.pi + 1e-6, 2 * np.pi, 7.0]
        random = rng.uniform(0, 3, (count, 24))
        pose *= np.where(rng.random((count, 24)) < 0.4, rng.choice(angles, (count, 24)), random)[..., None]
        return BodyParameters.of(pose[:, 0], pose[:, 1:], rng.normal(0, 2, (count, 10)), rng.normal(0, 2, (count, 3)))

    return draw


@pytest.fixture(scope="session")
def foreign() -> dict[str, Any]:
    """The arrays of a body that is not the reference body: other template, faces, weights; float64 as in the files."""
    reference = load_body(gender="male")
    rng = np.random.default_rng(5)
    return {
        "v_template": reference.v_template.astype(np.float64) * 1.05,
        "shapedirs": np.concatenate([reference.shapedirs, rng.normal(0, 0.001, (6890, 3, 2))], axis=2),
        "posedirs": reference.posedirs.astype(np.float64) * 0.5,
        "weights": reference.weights.astype(np.float64),
        "J_regressor": sp.csc_matrix(reference.joint_regressor, dtype=np.float64),
        "f": np.roll(reference.faces, 1, axis=1).astype(np.uint32),
        "kintree_table": np.stack([reference.parents.astype(np.uint32), np.arange(24, dtype=np.uint32)]),
    }


@pytest.fixture(scope="session")
def foreign_pickle(foreign: dict[str, Any]) -> bytes:
    """``foreign`` as a v1.0.0 file: Python 2, chumpy objects, a csc regressor, and keys we do not need."""
    flat = ch(foreign["shapedirs"].ravel())
    order = np.arange(foreign["shapedirs"].size)
    content = {
        **foreign,
        "v_template": ch(foreign["v_template"]),
        "shapedirs": chumpy_object("Select", a=flat, idxs=order, preferred_shape=foreign["shapedirs"].shape),
        "weights": ch(foreign["weights"]),
        "J": chumpy_object("add", a=ch([1.0]), b=ch([2.0])),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
        "pose_training_info": {"dataset": ["a", "b"], "weights": {"x": 1.5}, "none": None},
    }
    return python2_pickle(content)
