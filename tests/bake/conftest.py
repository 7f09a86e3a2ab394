"""The bake scripts are no part of the wheel: tests find them in the checkout, or skip."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parents[2]


def _register_bake() -> None:
    """Make ``bake`` importable without putting the checkout, and with it the bare ``toolkit``, on the path."""
    spec = importlib.machinery.PathFinder.find_spec("bake", [str(CHECKOUT)])
    if spec is not None and "bake" not in sys.modules:
        sys.modules["bake"] = importlib.util.module_from_spec(spec)


_register_bake()


def packaged(name: str) -> dict[str, NDArray[Any]]:
    from importlib.resources import files

    with (files("hmrtk.toolkit.body") / "data" / name).open("rb") as stream, np.load(stream) as archive:
        return {key: archive[key] for key in archive.files}


@pytest.fixture(scope="session")
def body() -> dict[str, NDArray[Any]]:
    """Arrays of the packaged ``reference_body.npz``."""
    return packaged("reference_body.npz")


@pytest.fixture(scope="session")
def baked(body: dict[str, NDArray[Any]]) -> Any:
    """The packaged body as the bake's own ``BodyArrays`` (regions, which the file does not keep, left out)."""
    model = pytest.importorskip("bake.reference_body.model", reason="the bake scripts are not in this installation")
    parts = body["jreg_data"], body["jreg_indices"].astype(int), body["jreg_indptr"].astype(int)
    genders = ("neutral", "male", "female")
    return model.BodyArrays(
        faces=body["faces"].astype(np.int64),
        mirror=body["mirror"].astype(np.int64),
        weights=body["weights"].astype(np.float64),
        regressor=sp.csr_matrix(parts, shape=(50, 6890)).toarray()[:24].astype(np.float64),
        region=np.full(6890, "body"),
        uv=body["vt"].astype(np.float64),
        corners=body["ft"].astype(np.int64),
        **{f"template_{gender}": body[f"v_template_{gender}"].astype(np.float64) for gender in genders},
        **{f"shapes_{gender}": body[f"shapedirs_{gender}"].astype(np.float64) for gender in genders},
    )


@pytest.fixture(scope="session")
def onepiece() -> dict[str, NDArray[Any]]:
    """Arrays of the packaged ``onepiece_uv.npz``."""
    return packaged("onepiece_uv.npz")
